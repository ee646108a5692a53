package integration

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

// TestAnEditorsSaveIsOneVersion saves a file as real editors do. On the wire that is one upload URL, one piece and one
// new version, whatever files the editor made and renamed meanwhile; the old version is kept.
func TestAnEditorsSaveIsOneVersion(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	p.Login()
	p.Mount()
	for name, c := range map[string]struct{ program, script string }{
		"vim, backupcopy=yes":  {"vim", `vim -N -u NONE -i NONE -es -c 'set backupcopy=yes' -c '%s/old/new/' -c wq doc </dev/null`},
		"vim, backupcopy=no":   {"vim", `vim -N -u NONE -i NONE -es -c 'set backupcopy=no' -c '%s/old/new/' -c wq doc </dev/null`},
		"vim, backupcopy=auto": {"vim", `vim -N -u NONE -i NONE -es -c 'set backupcopy=auto' -c '%s/old/new/' -c wq doc </dev/null`},
		"vim, backup":          {"vim", `vim -N -u NONE -i NONE -es -c 'set backup backupdir=/tmp' -c '%s/old/new/' -c wq doc </dev/null; rm -f /tmp/doc~`},
		"sed -i":               {"sed", `sed -i s/old/new/ doc`},
		"ed":                   {"ed", `printf ',s/old/new/\nw\nq\n' | ed -s doc`},
		"temp, fsync, rename":  {"sync", `echo new >.doc.tmp; sync .doc.tmp; mv .doc.tmp doc; sync .`},
		"lock, temp, rename": {"sh", `echo lock >.~lock.doc#; echo new >lu1.tmp; cat doc >/dev/null; mv lu1.tmp doc
rm .~lock.doc#`},
		"overwritten": {"sh", `echo new >doc`},
		"ten saves":   {"sh", `for i in 0 1 2 3 4 5 6 7 8; do echo $i >doc; done; echo new >doc`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(c.program); err != nil {
				t.Skipf("there is no %s here", c.program)
			}
			p.Shell(`rm -f doc; echo old >doc`)
			p.Run("flush")
			old := account.Find("doc")
			before := p.Server.Stats()
			p.Run("pause") // however slow the machine is, it is one save
			p.Shell(c.script)
			p.Run("resume")
			p.Run("flush")
			after := p.Server.Stats()
			doc := account.Find("doc")
			require.Equal(t, "new\n", string(account.ReadFile(doc)))
			require.Equal(t, old, account.Versions(doc)[1], "the old version is kept")
			require.Equal(t, 1, after.Commands["u"]-before.Commands["u"], "u")
			require.Equal(t, 1, after.Pieces-before.Pieces, "pieces")
			for command, want := range map[string]int{"p": 1, "m": 0, "a": 0, "d": 0} {
				require.Equal(t, want, after.Commands[command]-before.Commands[command], command)
			}
			require.Len(t, account.Tree(), 1)
		})
	}
}
