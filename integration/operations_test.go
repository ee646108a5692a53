package integration

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the documents promise is shown by the tests that they name, so these must exist.
func TestDocumentsNameTests(t *testing.T) {
	all := map[string]bool{}
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(source, -1) {
			all[string(m[1])] = true
		}
		return err
	}))
	for _, name := range []string{"PERFORMANCE.md", "OPERATIONS.md", "RELIABILITY.md", "SECURITY.md"} {
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(document(t, name), -1)
		require.NotEmpty(t, named)
		for _, m := range named {
			require.True(t, all[m[1]], "docs/%s names %s, which doesn't exist", name, m[1])
		}
	}
}

// Each row of docs/OPERATIONS.md and each fault in docs/RELIABILITY.md names the test that shows it.
func TestRowsNameTests(t *testing.T) {
	_, faults, found := strings.Cut(document(t, "RELIABILITY.md"), "## Faults")
	require.True(t, found)
	faults, _, _ = strings.Cut(faults, "\n## ")
	for _, text := range []string{document(t, "OPERATIONS.md"), faults} {
		for line := range strings.Lines(text) {
			row := strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what ") && !strings.HasPrefix(line, "| fault ")
			require.True(t, !row || strings.Contains(line, "`Test"), "this names no test: %s", line)
		}
	}
}

func document(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("../docs", name))
	require.NoError(t, err)
	return string(page)
}
