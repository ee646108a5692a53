package integration

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// allowed is the table of docs/ARCHITECTURE.md: which of our packages a room may import.
// Arrows point down only, so that each room can be read, tested and replaced by itself.
var allowed = map[string][]string{
	"megaclient/megacrypto": {"megaclient/megacrypto/internal/aesasm"},
	"megaclient/keymem":     {},
	"megaclient":            {"megaclient/megacrypto", "megaclient/keymem"},
	"megaclient/megatest":   {"megaclient/megacrypto"},
	"cache":                 {"megaclient/megacrypto"},
	"writeback/durable":     {},
	"writeback/staging":     {"writeback/durable"},
	"writeback/debris":      {"writeback/durable"},
	"writeback/tree":        {"megaclient", "megaclient/megacrypto", "writeback/durable"},
	"writeback":             {"writeback/tree", "writeback/staging", "writeback/debris", "writeback/durable", "cache", "megaclient", "megaclient/megacrypto", "megaclient/keymem"},
	"fs":                    {"writeback", "writeback/tree", "cache", "megaclient", "megaclient/megacrypto"},

	"megaclient/megacrypto/internal/aesasm": {},
}

// onlyIn names rooms outside of which a library must not appear, and why.
var onlyIn = map[string]struct {
	rooms []string
	why   string
}{
	"github.com/hanwen/go-fuse/v2": {[]string{"fs", "integration"}, "the kernel's words stay on the kernel's side"},
	"github.com/dgraph-io/badger":  {[]string{"writeback", "cache"}, "two stores with two promises, and no third"},
	"net/http":                     {[]string{"megaclient", "cmd", "integration"}, "only the protocol talks to the network"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestArrowsPointDown(t *testing.T) {
	for _, p := range listPackages(t) {
		room := strings.TrimPrefix(p.ImportPath, "megadisk/")
		may, bound := allowed[room]
		for _, imp := range p.Imports {
			if ours, ok := strings.CutPrefix(imp, "megadisk/"); ok && bound {
				require.Contains(t, may, ours, "%s may not import %s: the table in docs/ARCHITECTURE.md says what it may", room, ours)
			}
			for lib, rule := range onlyIn {
				if imp == lib || strings.HasPrefix(imp, lib+"/") {
					require.True(t, inside(room, rule.rooms), "%s imports %s: %s", room, imp, rule.why)
				}
			}
		}
	}
}

// TestRoomsExist keeps the table above honest: a renamed room must not silently escape it.
func TestRoomsExist(t *testing.T) {
	have := map[string]bool{}
	for _, p := range listPackages(t) {
		have[strings.TrimPrefix(p.ImportPath, "megadisk/")] = true
	}
	for room := range allowed {
		require.True(t, have[room], "room %s is in the table but not in the tree", room)
	}
}

func inside(room string, rooms []string) bool {
	for _, r := range rooms {
		if room == r || strings.HasPrefix(room, r+"/") {
			return true
		}
	}
	return false
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "megadisk/...").Output()
	require.NoError(t, err, "go list")
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := dec.Decode(&p)
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}
