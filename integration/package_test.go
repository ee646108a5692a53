package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// clean is a shell script's beginning that makes a root folder of its own ($2/root): this machine's system, in which
// nothing that is done stays.
const clean = `
set -eu
mount -t tmpfs none "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount --rbind /dev "$2/root/dev"
mount -t proc proc "$2/root/proc"
mount -t tmpfs none "$2/root/run"
mount -t tmpfs none "$2/root/tmp"
cp "$1" "$2/root/tmp/megadisk.deb"
`

func inCleanRoot(t *testing.T, file, script string) string {
	t.Helper()
	dir := t.TempDir()
	try := exec.Command("unshare", "--mount", "--propagation", "slave", "sh", "-c", clean, "sh", file, dir)
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, NOT RUN: no clean root can be made here: %s", out)
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "slave", "sh", "-c",
		clean+`exec chroot "$2/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -euc "$3"`, "sh", file, dir, script)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func TestPackageOnACleanSystem(t *testing.T) {
	needs.FUSE(t)
	needs.Root(t)
	needs.Programs(t, "dpkg-deb", "fusermount3")
	p, account := program.WithAccount(t)
	account.PutFile(account.Root(), "f", []byte("from the cloud"), megatestTime)
	build := exec.Command("../packaging/deb", p.Bin, p.Dir, "1.2~test")
	build.Env = append(os.Environ(), "LEVEL=1")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	debs, err := filepath.Glob(filepath.Join(p.Dir, "megadisk_1.2~test_*.deb"))
	require.NoError(t, err)
	require.Len(t, debs, 1)

	text := inCleanRoot(t, debs[0], `
echo 'PRUNEFS = "proc sysfs"' >/etc/updatedb.conf
dpkg -i --no-triggers --force-depends --force-unsafe-io /tmp/megadisk.deb
cat /etc/updatedb.conf
megadisk --version
bash -n /usr/share/bash-completion/completions/megadisk
zcat /usr/share/man/man8/mount.megadisk.8.gz
test -f /usr/lib/systemd/user/megadisk@.service -a -f /usr/lib/systemd/system/megadisk@.service
echo '`+program.Password+`' | megadisk login `+program.Email+` --password-file - --keyring file --api-url `+p.Server.URL()+`
echo 'megadisk /mnt megadisk _netdev,nofail,keyring=file,api_url=`+p.Server.URL()+` 0 0' >/etc/fstab
mount -a
cat /mnt/f; echo
echo new >/mnt/g
umount /mnt
dpkg -r --no-triggers megadisk
cat /etc/updatedb.conf
ls /usr/bin/megadisk /usr/sbin/mount.megadisk /usr/share/man/man1/megadisk*.gz /usr/lib/systemd/user/megadisk@.service 2>&1 || echo removed
`)
	for _, want := range []string{`"proc sysfs fuse.megadisk"`, "megadisk version", ".so man1/megadisk-mount.1", "from the cloud", "removed"} {
		require.Contains(t, text, want)
	}
	require.True(t, strings.Contains(text[strings.LastIndex(text, "PRUNEFS"):], `"proc sysfs"`), "nothing of it stays")
	require.Contains(t, account.Tree(), "g")
}

func TestManualPages(t *testing.T) {
	needs.Programs(t, "man")
	p, _ := program.WithAccount(t)
	p.Run("man", p.Dir)
	pages, err := filepath.Glob(filepath.Join(p.Dir, "man1", "*"))
	require.NoError(t, err)
	require.Greater(t, len(pages), 20)
	for _, page := range pages {
		cmd := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", page)
		var warnings strings.Builder
		cmd.Stderr = &warnings
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8")
		text, err := cmd.Output()
		require.NoError(t, err)
		require.Empty(t, warnings.String(), page)
		require.Contains(t, string(text), "SYNOPSIS")
	}
	require.FileExists(t, filepath.Join(p.Dir, "man8", "mount.megadisk.8"))
}

func TestInstall(t *testing.T) {
	p, _ := program.WithAccount(t)
	dest := filepath.Join(p.Dir, "dest")
	out, err := exec.Command("../packaging/install", p.Bin, dest, "/opt").CombinedOutput()
	require.NoError(t, err, "%s", out)
	target, err := os.Readlink(filepath.Join(dest, "usr/sbin/mount.megadisk"))
	require.NoError(t, err)
	require.Equal(t, "/opt/bin/megadisk", target)
	unit, err := os.ReadFile(filepath.Join(dest, "usr/lib/systemd/user/megadisk@.service"))
	require.NoError(t, err)
	require.Contains(t, string(unit), "ExecStart=/opt/bin/megadisk mount")
	for _, file := range []string{
		"opt/bin/megadisk", "opt/share/man/man1/megadisk-mount.1.gz", "opt/share/man/man8/umount.fuse.megadisk.8.gz",
		"opt/share/bash-completion/completions/megadisk", "opt/share/zsh/vendor-completions/_megadisk",
		"opt/share/fish/vendor_completions.d/megadisk.fish",
		"opt/share/nautilus-python/extensions/megadisk.py", "opt/share/nemo-python/extensions/megadisk.py",
		"opt/share/caja-python/extensions/megadisk.py", "opt/share/doc/megadisk/OPERATIONS.md",
	} {
		require.FileExists(t, filepath.Join(dest, file))
	}
}
