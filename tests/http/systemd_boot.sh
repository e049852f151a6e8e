#!/bin/sh
# systemd_boot.sh BASE BUILD LIBRARY: the installed units under a systemd of their own, in a container made by unshare.
#
# As root on Linux with cgroup v2: BASE is an unpacked Debian 12 that this script may write to (debootstrap makes one),
# BUILD the build folder, LIBRARY ONNX Runtime's. Needs the network for BASE's packages the first time. Ends with
# "passed", or with what did not hold. Not in ctest; it is the check behind what docs/deploy.md says about systemd.
set -eu
[ $# -eq 3 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2; }
root=$(cd "$1" && pwd); build=$2; library=$3
sources=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)

if [ ! -x "$root/lib/systemd/systemd" ]; then
    cp /etc/resolv.conf "$root/etc/"
    mkdir -p "$root/srv/scripts"; cp "$sources/scripts/setup.sh" "$root/srv/scripts/"
    chroot "$root" sh /srv/scripts/setup.sh --run
    chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends systemd >/dev/null
fi
DESTDIR=$root cmake --install "$build" --prefix /usr/local >/dev/null
mkdir -p "$root/usr/local/share/facemill/ort" "$root/srv/pictures"
cp "$library" "$root/usr/local/share/facemill/ort/"
python3 "$sources/scripts/draw_faces.py" "$root/srv/pictures" --count 1 >/dev/null

units=$root/etc/systemd/system
mkdir -p "$units"
rm -rf "$units"/facemill.*.d "$root/etc/facemill"
# What belongs to a machine is not this container's to touch.
for unit in systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service systemd-random-seed.service \
    systemd-update-utmp.service systemd-pstore.service systemd-binfmt.service kmod-static-nodes.service \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount; do
    ln -sf /dev/null "$units/$unit"
done
printf '%s\n' '[Unit]' Requires=basic.target After=basic.target Wants=facemill.socket >"$units/test.target"
echo uninitialized >"$root/etc/machine-id"

cat >"$root/srv/checks.sh" <<'CHECKS'
set -u
fail() { echo "failed: $*"; journalctl -u facemill -n 20 -o cat --no-pager | cut -c1-200; exit 1; }
show() { systemctl show -p "$1" --value facemill.service; }
at=http://127.0.0.1:8001
ask() { curl -s -m 60 -o /dev/null -w '%{http_code}' "$@"; }
detect() { ask -F file=@/srv/pictures/drawn_1.png "$@"; }
drop_in() { # UNIT LINE...
    folder=/etc/systemd/system/$1.d; shift
    mkdir -p "$folder"; printf '%s\n' "$@" >"$folder/test.conf"; systemctl daemon-reload
}

[ "$(systemctl is-active facemill.socket)" = active ] || fail "the socket is there"
[ "$(systemctl is-active facemill.service)" = inactive ] || fail "the service is not there yet"
[ "$(detect $at/detect)" = 200 ] || fail "the first connection starts the service"
pid=$(show MainPID)
grep -q '^Seccomp:.2' "/proc/$pid/status" || fail "system calls are filtered"
grep -q '^NoNewPrivs:.1' "/proc/$pid/status" || fail "no new privileges"
grep -q '^CapEff:.0*$' "/proc/$pid/status" || fail "no capabilities"
grep -q '^Uid:.0' "/proc/$pid/status" && fail "a user of its own"

systemctl reload facemill || fail "reload"
[ "$(detect $at/detect)$(show MainPID)" = "200$pid" ] || fail "the same process after a reload"

# Restarted under requests, one after the other on new connections: each is answered.
for number in $(seq 40); do ask $at/readyz; echo; sleep 0.05; done >/tmp/codes &
sleep 0.3
systemctl restart facemill || fail "restart"
wait
[ "$(sort /tmp/codes | uniq -c | tr -d ' ')" = 40200 ] || fail "all 40 answered: $(sort /tmp/codes | uniq -c)"
[ "$(show MainPID)" != "$pid" ] || fail "another process after a restart"

drop_in facemill.service '[Service]' WatchdogSec=2
systemctl restart facemill
sleep 5
[ "$(show NRestarts)" = 0 ] || fail "the watchdog is answered"
kill -STOP "$(show MainPID)"
[ "$(ask $at/readyz)$(show NRestarts)" = 2001 ] || fail "a worker that hangs is started again"

mkdir -p /etc/facemill
(umask 077; echo secret-token >/etc/facemill/tokens)
drop_in facemill.service '[Service]' LoadCredential=tokens:/etc/facemill/tokens Environment=FM_TOKEN_FILE=%d/tokens
systemctl restart facemill || fail "with a token"
[ "$(detect $at/detect)" = 401 ] || fail "the token is asked for"
[ "$(detect -H 'Authorization: Bearer secret-token' $at/detect)" = 200 ] || fail "the token is known"

systemctl stop facemill.service facemill.socket
[ "$(show Result)" = success ] || fail "it ended well"
drop_in facemill.socket '[Socket]' ListenStream= ListenStream=/run/facemill/facemill.sock SocketMode=0660 \
    SocketGroup=www-data
rm -r /etc/systemd/system/facemill.service.d; systemctl daemon-reload
systemctl start facemill.socket
socket="--unix-socket /run/facemill/facemill.sock http://localhost"
[ "$(ask $socket/readyz)" = 200 ] || fail "a Unix socket"
systemctl restart facemill
[ "$(ask $socket/readyz)" = 200 ] || fail "the Unix socket after a restart"
[ "$(stat -c '%a %G' /run/facemill/facemill.sock)" = "660 www-data" ] || fail "the Unix socket's mode and group"

systemctl stop facemill.service
echo 'pack = nowhere' >/etc/facemill/config
ask $socket/readyz >/dev/null
[ "$(show ExecMainStatus)$(show NRestarts)" = 30 ] || fail "no restart after exit code 3"
: >/etc/facemill/config
systemctl reset-failed facemill.service facemill.socket
systemctl start facemill && [ "$(ask $socket/readyz)" = 200 ] || fail "started after the mending"
echo passed
CHECKS

# cgroup v2 may be mounted below v1's folders.
group=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)/facemill-test
mkdir -p "$group"
cleanup() { [ -z "${outer:-}" ] || kill -9 "$outer" 2>/dev/null || true; wait 2>/dev/null || true; sleep 1
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; }
trap cleanup EXIT
# shellcheck disable=SC2016 # expanded inside
sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' sh "$group" \
    unshare --cgroup --mount --pid --uts --ipc --net --fork --kill-child sh -ec '
        mount --make-rprivate /; mount --bind "$1" "$1"; cd "$1"
        mount -t proc proc proc; mount --bind proc/sys proc/sys; mount -o remount,bind,ro proc/sys
        mount -t sysfs -o ro sysfs sys; mount -t cgroup2 cgroup2 sys/fs/cgroup
        mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs tmp; mount -t tmpfs tmpfs dev
        for device in null zero full random urandom tty; do
            touch dev/$device; mount --bind /dev/$device dev/$device
        done
        mkdir dev/pts dev/shm dev/mqueue dev/hugepages
        ln -s /proc/self/fd dev/fd; ln -s pts/ptmx dev/ptmx
        mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts; mount -t mqueue mqueue dev/mqueue
        ip link set lo up
        mkdir -p old; pivot_root . old; umount -l old; mount --make-rshared /
        exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            /lib/systemd/systemd --unit=test.target --show-status=no' \
    sh "$root" </dev/null &
outer=$!
inner=
inside() { timeout "$1" nsenter --target "$inner" --all --root --wd sh -c "$2"; }
for second in $(seq 60); do
    inner=$(pgrep -P "$outer" || true)
    if [ -n "$inner" ] && inside 5 "systemctl is-active -q test.target" 2>/dev/null; then break; fi
    sleep 1
done
[ "$second" -lt 60 ] || { echo "failed: systemd did not start within a minute"; exit 1; }
inside 180 "sh /srv/checks.sh"
