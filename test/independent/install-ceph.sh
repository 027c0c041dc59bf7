#!/bin/bash
# install-ceph.sh <directory>: a Debian chroot with Ceph's mon, osd and radosgw. Root only; no package of the host is touched.
# The mirror is the one of the host's own apt sources, or DEBIAN_MIRROR. A finished installation is used again.
set -euo pipefail
directory=$1
suite=${SUITE:-sid}
if [ -e "$directory/.complete" ]; then exit 0; fi
if [ "$(id -u)" != 0 ]; then echo 'Ceph is installed in a chroot, which only root can do.' >&2; exit 1; fi

mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|Debian|//p' | head -n 1)}
if [ -z "$mirror" ]; then echo 'No Debian mirror is known here. Run apt-get update, or set DEBIAN_MIRROR.' >&2; exit 1; fi

work=$(mktemp -d)
root=$directory.$$
trap 'rm -rf "$work" "$root"' EXIT
mkdir -p "$(dirname "$directory")"

debootstrap=debootstrap
if ! command -v debootstrap >/dev/null; then
  (cd "$work" && apt-get download -q debootstrap >/dev/null && dpkg -x debootstrap_*.deb x)
  export DEBOOTSTRAP_DIR=$work/x/usr/share/debootstrap
  debootstrap=$work/x/usr/sbin/debootstrap
fi
"$debootstrap" --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$root" "$mirror" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }

# Sid's Release file expires within days, and a machine's clock may be ahead of the mirror.
printf 'Acquire::Check-Valid-Until "false";\nAcquire::Check-Date "false";\nAPT::Sandbox::User "root";\n' >"$root/etc/apt/apt.conf.d/99independent"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
unshare -m --propagation private bash -ec "
  mount -t proc proc '$root/proc'
  export DEBIAN_FRONTEND=noninteractive
  chroot '$root' apt-get update -qq
  chroot '$root' apt-get install -y --no-install-recommends ceph-mon ceph-osd radosgw ceph-common
  chroot '$root' apt-get clean
" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }

chroot "$root" radosgw --version
touch "$root/.complete"
rm -rf "$directory"
mv "$root" "$directory"
