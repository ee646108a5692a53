package fs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindMount(t *testing.T) {
	const list = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
36 22 0:41 / /mnt/with\040space\134and rw shared:9 - fuse.megadisk megadisk rw
40 22 0:50 / /auto rw,relatime - autofs systemd-1 rw,fd=1
41 40 0:51 / /auto rw,relatime master:2 - fuse.megadisk x rw
not a line of mountinfo
`
	for _, c := range []struct {
		path, kind string
		ok         bool
	}{
		{"/", "ext4", true},
		{`/mnt/with space\and`, "fuse.megadisk", true},
		{"/auto", "fuse.megadisk", true}, // the topmost
		{"/mnt", "", false},
		{"/mnt/with", "", false},
	} {
		kind, ok, err := findMount(strings.NewReader(list), c.path)
		require.NoError(t, err)
		require.Equal(t, c.ok, ok, c.path)
		require.Equal(t, c.kind, kind, c.path)
	}
}

func FuzzUnescapeMount(f *testing.F) {
	f.Add(`a\040b`)
	f.Add(`\04`)
	f.Add(`\\134`)
	f.Fuzz(func(t *testing.T, s string) {
		require.LessOrEqual(t, len(unescapeMount(s)), len(s))
		if !strings.Contains(s, `\`) {
			require.Equal(t, s, unescapeMount(s))
		}
	})
}

func TestNamesStayOutOfTheLog(t *testing.T) {
	line := quoted.ReplaceAllString(`rx 2: LOOKUP n1 ["secret \" name"] 5b p5874, 7b data "content"`, `"…"`)
	require.NotContains(t, line, "secret")
	require.NotContains(t, line, "name")
	require.NotContains(t, line, "content")
	require.Contains(t, line, "LOOKUP n1")
}
