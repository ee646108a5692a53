package figures

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMarks(t *testing.T) {
	all, err := Marks("| a | yes <!-- bench: a b, c > the one = 1.09 ±20% --> |\n<!-- bench: x = 7 ±5% --><!-- else -->")
	require.NoError(t, err)
	require.Equal(t, []Mark{{"a b, c > the one", 1.09, 0.2}, {"x", 7, 0.05}}, all)
	_, err = Marks("<!-- bench: x = 1.0.9 ±20% -->")
	require.Error(t, err)
}

func TestHolds(t *testing.T) {
	m := Mark{"x", 10, 0.2}
	for value, want := range map[float64]bool{7.9: false, 8.1: true, 100: true} {
		require.Equal(t, want, m.Holds(Measured{Value: value}), value)
	}
	for value, want := range map[float64]bool{12.1: false, 11.9: true, 0: true} {
		require.Equal(t, want, m.Holds(Measured{Value: value, AtMost: true}), value)
	}
}

// Each figure that a document marks is one of the bench's, so that `make docs-check` can find it.
func TestMarkedFiguresExist(t *testing.T) {
	var source strings.Builder
	files, err := os.ReadDir("../bench")
	require.NoError(t, err)
	for _, f := range files {
		text, err := os.ReadFile("../bench/" + f.Name())
		require.NoError(t, err)
		source.Write(text)
	}
	page, err := os.ReadFile("../../docs/PERFORMANCE.md")
	require.NoError(t, err)
	all, err := Marks(string(page))
	require.NoError(t, err)
	require.Greater(t, len(all), 15)
	require.Len(t, all, strings.Count(string(page), "<!-- bench:"), "each mark can be read")
	for _, m := range all {
		for part := range strings.SplitSeq(m.Name, " > ") {
			if strings.HasPrefix(part, "through ") {
				part = "through " // and the name of what it is measured against
			}
			require.Contains(t, source.String(), part, m.Name)
		}
	}
}
