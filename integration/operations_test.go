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

// What docs/OPERATIONS.md and docs/PERFORMANCE.md promise is shown by the tests that they name, so these must exist.
func TestOperationsNamesTests(t *testing.T) {
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
	var page []byte
	for _, name := range []string{"PERFORMANCE.md", "OPERATIONS.md"} {
		var err error
		page, err = os.ReadFile("../docs/" + name)
		require.NoError(t, err)
		named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(page, -1)
		require.NotEmpty(t, named)
		for _, m := range named {
			require.True(t, all[string(m[1])], "docs/%s names %s, which doesn't exist", name, m[1])
		}
	}
	for n, line := range strings.Split(string(page), "\n") {
		row := strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what ")
		require.True(t, !row || strings.Contains(line, "`Test"), "line %d names no test", n+1)
	}
}
