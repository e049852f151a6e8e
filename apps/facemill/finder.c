/* Finder: one face for fm_engine and fm_client, so that a job need not know which of them it has. */
#include "finder.h"

#include "base/os.h"
#include "client/reply.h"

#include <stdio.h>
#include <string.h>

#define TOKEN_FILE_BYTES ((uint64_t)1 << 20)

/* ---- answers */

fm_status fm_answer_status(const struct answer *answer, const char **words) {
    *words = answer->reply ? fm_reply_message(answer->reply) : fm_result_message(answer->result);
    return answer->reply ? fm_reply_status(answer->reply) : fm_result_status(answer->result);
}

static const fm_face *reply_face(const void *owner, size_t index) {
    return fm_reply_face(owner, index);
}

struct found fm_answer_found(const struct answer *answer) {
    const fm_reply *reply = answer->reply;
    if (!reply)
        return fm_found_in(answer->result);
    return (struct found){fm_reply_width(reply), fm_reply_height(reply), fm_reply_face_count(reply), reply_face, reply};
}

void fm_answer_free(struct answer *answer) {
    fm_result_free(answer->result);
    fm_reply_free(answer->reply);
    *answer = (struct answer){NULL, NULL};
}

/* ---- opening */

const char *fm_finder_worker(const struct config *config) {
    return config->command->bit & ON_ANALYZE ? fm_config_text(config, OPT_WORKER) : NULL;
}

/* The first line of the file that is neither empty nor a comment; serve's --token-file may be given as it is. */
static fm_status read_token(const char *path, struct text *token, fm_error *error) {
    struct buffer file = {0};
    fm_status status = fm_file_read(path, TOKEN_FILE_BYTES, &file, error);
    for (size_t at = 0; at < file.size && !token->length && !token->failed;) {
        const char *line = (const char *)file.bytes + at;
        const char *end = memchr(line, '\n', file.size - at);
        size_t length = end ? (size_t)(end - line) : file.size - at;
        at += length + 1;
        while (length && (line[length - 1] == '\r' || line[length - 1] == ' ' || line[length - 1] == '\t'))
            length--;
        while (length && (line[0] == ' ' || line[0] == '\t')) {
            line++;
            length--;
        }
        if (length && line[0] != '#')
            fm_text_add_bytes(token, line, length);
    }
    if (!status && token->failed)
        status = fm_fail(error, FM_OUT_OF_MEMORY, "out of memory reading the token file '%s'", path);
    else if (!status && (!token->length || strlen(token->chars) != token->length))
        status = fm_fail(error, FM_INVALID_ARGUMENT, "the token file '%s' has no token; expected one on a line", path);
    fm_buffer_reset(&file);
    return status;
}

static fm_status open_client(struct finder *finder, const struct config *config, const fm_engine_options *settings,
                             fm_error *error) {
    const char *token_file = fm_config_text(config, OPT_WORKER_TOKEN_FILE);
    struct text token = {0};
    fm_client_options options = {
        .struct_size = sizeof options,
        .urls = fm_finder_worker(config),
        .policy = fm_config_is(config, OPT_WORKER_POLICY, "require") ? FM_WORKER_REQUIRE : FM_WORKER_PREFER,
        .timeout_ms = (uint32_t)fm_config_integer(config, OPT_WORKER_TIMEOUT),
        .deadline_ms = finder->call.deadline_ms,
        .local = settings,
        .log_level = settings->log_level,
        .log = settings->log,
        .log_user = settings->log_user,
    };
    fm_status status = token_file ? read_token(token_file, &token, error) : FM_OK;
    options.token = token.chars;
    if (!status)
        status = fm_client_open(&options, &finder->client, error);
    fm_text_reset(&token);
    return status;
}

fm_status fm_finder_open(struct finder *finder, const struct config *config, const fm_engine_options *settings,
                         const fm_call_options *call, fm_error *error) {
    finder->call = *call;
    if (fm_finder_worker(config) && !call->keep_pixels)
        return open_client(finder, config, settings, error);
    return fm_engine_open(settings, &finder->engine, error);
}

void fm_finder_close(struct finder *finder) {
    fm_engine_close(finder->engine);
    fm_client_close(finder->client);
    for (size_t i = 0; i < finder->source_count; i++)
        fm_free(finder->sources[i].name);
    fm_free(finder->sources);
}

fm_status fm_finder_submit(struct finder *finder, const fm_input *input, fm_callback on_result,
                           fm_reply_callback on_reply, void *user, fm_error *error) {
    if (finder->client)
        return fm_client_submit(finder->client, input, on_reply, user, error);
    return fm_submit(finder->engine, input, &finder->call, on_result, user, NULL, error);
}

/* ---- who did it */

const fm_engine *fm_finder_engine(const struct finder *finder) {
    return finder->client ? fm_client_engine(finder->client) : finder->engine;
}

bool fm_finder_embeds(const struct finder *finder, const struct answer *answer) {
    return answer->reply ? fm_reply_embedded(answer->reply) : fm_engine_embedding_size(finder->engine) > 0;
}

void fm_finder_count(struct finder *finder, const struct answer *answer) {
    const char *name = answer->reply ? fm_reply_source(answer->reply) : "";
    size_t count = finder->source_count;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(finder->sources[i].name, name) == 0) {
            finder->sources[i].images++;
            return;
        }
    }
    struct summary_source *more = name[0] ? fm_alloc_array(count + 1, sizeof *more) : NULL;
    char *copy = more ? fm_string_copy(name) : NULL;
    if (!copy) { /* nobody's, or a count that is not worth the job */
        fm_free(more);
        return;
    }
    if (count)
        memcpy(more, finder->sources, count * sizeof *more);
    fm_free(finder->sources);
    more[count] = (struct summary_source){copy, 1};
    finder->sources = more;
    finder->source_count = count + 1;
}
