package doctor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFindings(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		found Check
		state State
		fix   string
	}{
		{FuseConf("# x\n user_allow_other \n"), OK, ""},
		{AppArmor("fusermount3 (enforce)\n"), Warning, "local/fusermount3"},
		{AppArmor("fusermount3 (complain)\nfirefox (enforce)\n"), OK, ""},
		{Clock(now, now.Add(time.Minute)), OK, ""},
		{Clock(now, now.Add(-time.Hour)), Failure, "timedatectl"},
		{room("state disk", "/d", 10<<20, true), Failure, "--state-dir"},
		{room("cache disk", "/d", 500<<20, true), Warning, "--cache-dir"},
		{room("cache disk", "/d", 50<<30, true), OK, ""},
		{room("cache disk", "/d", 50<<30, false), Failure, "--cache-dir"},
		{Dead(nil), OK, ""},
		{Dead([]string{"/mnt"}), Failure, "megadisk unmount /mnt"},
		{Quota(0, 0), OK, ""},
		{Quota(20, 20), Failure, "full"},
		{Quota(980, 1000), Warning, "soon"},
		{Session("a@b.c", "", ""), OK, ""},
		{Session("", "it has ended", "megadisk login"), Failure, "megadisk login"},
	} {
		require.Equal(t, c.state, c.found.State, c.found)
		require.Contains(t, c.found.Says+c.found.Fix, c.fix, c.found)
		require.Equal(t, c.state != OK, c.found.Fix != "", "what isn't well has a fix: %v", c.found)
	}
}
