package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// TestNothingIsDoubled works through lost answers, refusals, lost uploads and kills, all at once: afterwards the cloud
// holds exactly what the mount shows, each name once.
func TestNothingIsDoubled(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	p.Login()
	p.Mount()
	faults := p.Server.Faults()
	for round := range 4 {
		for _, command := range []string{"p", "p", "m", "d", "a"} {
			faults.DropAfter(command, 1)
		}
		faults.DropBefore("u", 1)
		faults.FailCommand("p", -3, 1)
		faults.FailCommand("u", -4, 1)
		faults.FailHTTP(megatest.Uploads, 509, 1)
		faults.FailHTTP(megatest.Uploads, 404, 1)
		before := p.Server.Stats()
		p.Shell(fmt.Sprintf(`mkdir -p d%[1]d/e
for i in $(seq 0 19); do echo %[1]d-$i >d%[1]d/e/$i; done
mv d%[1]d/e e%[1]d
rm -r d%[1]d
cp e%[1]d/3 c%[1]d
chmod 600 c%[1]d`, round))
		if round%2 == 1 {
			awaitServer(t, p, func(s megatest.Stats) bool {
				return s.Pieces > before.Pieces && s.Commands["p"] > before.Commands["p"]
			})
			p.Kill()
			p.Mount()
		}
		if round > 0 {
			p.Shell(fmt.Sprintf(`mv e%[1]d/* . ; rmdir e%[1]d; mkdir e%[1]d`, round-1))
		}
		p.Run("flush")
	}
	faults.Clear()
	p.Run("flush")
	require.Equal(t, shown(t, p.Point), names(account))
}

// awaitServer waits for numbers of the server.
func awaitServer(t *testing.T, p *program.Program, cond func(megatest.Stats) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, p.Server.Await(ctx, cond))
}

// names lists the paths of all live nodes, those of one name one after the other.
func names(account *megatest.Account) []string {
	var all []string
	for path := range account.Tree() {
		all = append(all, strings.Trim(path, "/"))
	}
	sort.Strings(all)
	return all
}

// shown lists the paths of all that a folder shows.
func shown(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && path != dir {
			all = append(all, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	require.NoError(t, err)
	sort.Strings(all)
	return all
}
