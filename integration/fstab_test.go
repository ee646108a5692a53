package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// mount(8), its helpers and fstab: in a mount namespace of the test's own, where /usr/sbin also has our names, /mnt is
// empty, and with nothing at all in the environment, as at boot.

// prepared is a shell script's beginning that makes such a place. $1 is the program, $2 a folder to work in.
const prepared = `
set -eu
mkdir -p "$2/sbin" "$2/orig"
for f in /usr/sbin/*; do ln -sf "$2/orig/${f##*/}" "$2/sbin/${f##*/}"; done
for name in megadisk mount.megadisk umount.fuse.megadisk; do ln -sf "$1" "$2/sbin/$name"; done
mount --bind /usr/sbin "$2/orig"
mount --bind "$2/sbin" /usr/sbin
mount -t tmpfs none /mnt
mkdir "/mnt/my drive"
trap 'umount -i -l "/mnt/my drive" 2>/dev/null || true' EXIT
`

func inNamespace(t *testing.T, p *program.Program, script string) string {
	t.Helper()
	cmd := exec.Command("/usr/bin/unshare", "--mount", "--propagation", "slave", "/bin/sh", "-c", prepared+script, "sh", p.Bin, p.Dir)
	cmd.Env = []string{} // not even a PATH
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// bootOptions say to a mount without environment what p.Env says to others.
func bootOptions(p *program.Program) string {
	return fmt.Sprintf("api_url=%s,state_dir=%s,cache_dir=%s,keyring=file", p.Server.URL(), filepath.Join(p.Dir, "state"), filepath.Join(p.Dir, "cache"))
}

func TestFstab(t *testing.T) {
	needs.FUSE(t)
	needs.Root(t)
	needs.Programs(t, "mount.fuse3", "setpriv")
	for _, kind := range []string{"megadisk", "fuse.megadisk"} {
		t.Run(kind, func(t *testing.T) {
			p, account := program.WithAccount(t)
			account.PutFile(account.Mkdir(account.Root(), "Photos"), "old", []byte("from the cloud"), megatestTime)
			p.Login()
			fstab := filepath.Join(p.Dir, "fstab")
			line := program.Email + `:/Photos /mnt/my\040drive ` + kind +
				` rw,_netdev,nofail,user,exec,suid,x-systemd.automount,x-gvfs-show,uid=1000,gid=1000,fmask=0137,dmask=027,` + bootOptions(p) + " 0 0\n"
			require.NoError(t, os.WriteFile(fstab, []byte(line), 0o644))
			out := inNamespace(t, p, `
cd /
mount -a -T "$2/fstab"
grep '/mnt/my.*fuse.megadisk' /proc/self/mounts
cat "/mnt/my drive/old"; echo
stat -c '%u:%g %a' "/mnt/my drive" "/mnt/my drive/old"
setpriv --reuid 1000 --regid 1000 --clear-groups sh -c 'cd "/mnt/my drive"; cat old; echo new >new'
echo again
mount -a -T "$2/fstab" # already there
echo done
umount "/mnt/my drive"
! grep '/mnt/my.*fuse.megadisk' /proc/self/mounts
`)
			require.Contains(t, out, program.Email+`:/Photos /mnt/my\040drive fuse.megadisk rw`, "the device is the one of fstab")
			require.Contains(t, out, "1000:1000 750\n1000:1000 640\n", "owner and masks")
			require.Contains(t, out, "from the cloud\n1000:1000", "read by root")
			require.Contains(t, out, "suid", "what can't be had is said")
			require.Contains(t, account.Tree(), "Photos/new", "umount has uploaded it")
		})
	}
}

// TestFstabLink: a public link in fstab, its key in the line or in a file that only root can read; a second mount -a
// knows that it is there.
func TestFstabLink(t *testing.T) {
	needs.FUSE(t)
	needs.Root(t)
	p, account := program.WithAccount(t)
	dir := account.Mkdir(account.Root(), "Photos")
	account.PutFile(dir, "old", []byte("from the cloud"), megatestTime)
	link := account.Export(dir)
	bare, _, _ := strings.Cut(link, "#")
	secret := filepath.Join(p.Dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("link="+link+"\n"), 0o600))
	for spec, more := range map[string]string{link: "", bare: ",credentials=" + secret} {
		line := spec + ` /mnt/my\040drive megadisk _netdev,nofail,ro,` + bootOptions(p) + more + " 0 0\n"
		require.NoError(t, os.WriteFile(filepath.Join(p.Dir, "fstab"), []byte(line), 0o644))
		out := inNamespace(t, p, `
cd /
mount -a -T "$2/fstab"
mount -a -T "$2/fstab"
grep '/mnt/my.*fuse.megadisk' /proc/self/mounts
cat "/mnt/my drive/old"; echo
umount "/mnt/my drive"
`)
		require.Contains(t, out, bare+` /mnt/my\040drive fuse.megadisk ro`)
		require.Contains(t, out, "from the cloud")
		require.NotContains(t, out, keyOf(link))
	}
}

func TestHelperInAnotherNamespace(t *testing.T) {
	needs.FUSE(t)
	needs.Root(t)
	p, _ := program.WithAccount(t)
	p.Login()
	out := inNamespace(t, p, `
"$2/sbin/mount.megadisk" -o '`+bootOptions(p)+`' megadisk "/mnt/my drive" -N $$ -n
grep '/mnt/my.*fuse.megadisk' /proc/self/mounts
umount "/mnt/my drive"
`)
	require.Contains(t, out, "fuse.megadisk")
}

func TestHelpersExitCodes(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	helper := filepath.Join(p.Dir, "mount.megadisk")
	require.NoError(t, os.Symlink(p.Bin, helper))
	try := func(args ...string) (string, int) {
		cmd := exec.Command(helper, args...)
		cmd.Env = p.Env
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	for _, c := range []struct {
		args []string
		exit int
		says string
	}{
		{[]string{"megadisk"}, 1, "usage"},
		{[]string{"megadisk", p.Point, "-o", "alow_other"}, 1, "did you mean allow-other?"},
		{[]string{"megadisk", p.Point, "-o", "uid=nobody-of-that-name"}, 1, "nobody-of-that-name"},
		{[]string{"megadisk", p.Point, "-o", `x="`}, 1, "quote"},
		{[]string{"Photos", p.Point}, 1, "begins"},
		{[]string{"megadisk", p.Point}, 32, "megadisk login"},
		{[]string{"eve@example.com:/", p.Point}, 32, "megadisk login"},
		{[]string{"megadisk", filepath.Join(p.Dir, "nowhere")}, 32, "no such folder"},
	} {
		out, exit := try(c.args...)
		require.Equal(t, c.exit, exit, "%v: %s", c.args, out)
		require.Contains(t, out, c.says, "%v", c.args)
	}
	p.Login()
	out, exit := try("megadisk", p.Point, "-sf", "-o", "alow_other,rw")
	require.Zero(t, exit, out)
	require.Contains(t, out, "ignored")
	require.Empty(t, p.Statuses(), "-f only pretends")
}

func TestMountInsideAMountIsRefused(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Login()
	p.Mount()
	p.Shell("mkdir -p a/b")
	require.Contains(t, refused(t, p, 6, "", "mount", filepath.Join(p.Point, "a/b")), "inside a folder that megadisk shows")
	p.Run("unmount", p.Point)
}
