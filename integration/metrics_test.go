package integration

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
)

func TestMetrics(t *testing.T) {
	needs.FUSE(t)
	p, account := program.WithAccount(t)
	account.PutFile(account.Root(), "secret name", []byte("content"), megatestTime)
	p.Login()
	socket := filepath.Join(p.Dir, "metrics")
	p.Run("mount", p.Point, "-o", "metrics=unix:"+socket)
	p.Shell("cat 'secret name'; echo new >f; mkdir -p d/e; ! rmdir d")
	p.Run("flush")

	var text string
	require.Eventually(t, func() bool { // how full the account is, is asked beside everything else
		text = scrape(t, socket)
		return gaugeOf(t, text, "megadisk_quota_bytes") > 0
	}, bounded, 10*time.Millisecond)
	for _, line := range []string{
		`megadisk_operation_seconds_count\{kind="read"\} [1-9]`, `megadisk_operation_seconds_count\{kind="write"\} [1-9]`,
		`megadisk_operation_errors_total\{errno="ENOTEMPTY",kind="rmdir"\} 1`,
		`megadisk_api_commands_total\{command="batch",result="ok"\} [1-9]`, `megadisk_api_commands_total\{command="u",result="ok"\} [1-9]`,
		`megadisk_stream_lag_seconds [0-9]`, `megadisk_online 1`, `megadisk_pending_changes 0`, `megadisk_mounts 1`, `megadisk_quota_bytes [1-9]`, `megadisk_downloaded_bytes_total [1-9]`,
		`go_gc_heap_live_bytes [1-9]`,
	} {
		require.Regexp(t, `(?m)^`+line, text)
	}
	require.NotContains(t, text, "secret")

	// Each figure of the dashboard exists.
	page, err := os.ReadFile("../docs/grafana/megadisk.json")
	require.NoError(t, err)
	require.True(t, json.Valid(page))
	for _, name := range regexp.MustCompile(`(megadisk|process)_[a-z_]+`).FindAllString(string(page), -1) {
		require.Contains(t, text, name)
	}
	p.Run("unmount", p.Point)
	require.NoFileExists(t, socket)
	require.Contains(t, refused(t, p, 2, "", "mount", p.Point, "--metrics", "nonsense"), "--metrics")
}

// Two accounts with one address, as a configuration file gives it to them: both are mounted, the first one's metrics stay where
// they are, and the second one says that it has none. A socket's path may be relative.
func TestMetricsAtAnAddressThatIsTaken(t *testing.T) {
	needs.FUSE(t)
	p, _ := program.WithAccount(t)
	p.Server.AddAccount("eve@example.com", program.Password)
	p.Login()
	p.LoginAs("eve@example.com", program.Password)
	t.Chdir(p.Dir)
	p.Env = append(p.Env, "MEGADISK_METRICS=unix:metrics")
	second := filepath.Join(p.Dir, "second")
	require.NoError(t, os.Mkdir(second, 0o755))
	p.Run("mount", program.Email+":/", p.Point)
	socket := filepath.Join(p.Dir, "metrics")
	require.FileExists(t, socket)
	p.Run("mount", "eve@example.com:/", second)
	require.Contains(t, p.Run("status", second), "another --metrics")
	require.NotContains(t, p.Run("status", p.Point), "--metrics")
	p.Run("unmount", second)
	require.Contains(t, scrape(t, socket), "megadisk_mounts 1")
}

// scrape gives what a mount with -o metrics=unix:SOCKET says.
func scrape(t *testing.T, socket string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://megadisk/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

// gaugeOf is a figure of what scrape gave that has no labels.
func gaugeOf(t *testing.T, text, name string) int64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			require.NoError(t, err)
			return int64(v)
		}
	}
	t.Fatal("no ", name)
	return 0
}
