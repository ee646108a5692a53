package megaclient_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// refusedBy says for each command which test has it refused with every number, and in which file that is.
var refusedBy = map[string][2]string{
	"ug":            {"codes_test.go", "TestEveryCodeOnEveryOtherCommand"},
	"uga":           {"codes_test.go", "TestEveryCodeOnEveryOtherCommand"},
	"uge":           {"codes_test.go", "TestEveryCodeOnEveryOtherCommand"},
	"usr":           {"codes_test.go", "TestEveryCodeOnEveryOtherCommand"},
	"s2":            {"codes_test.go", "TestEveryCodeOnEveryOtherCommand"},
	"pk":            {"codes_test.go", "TestEveryCodeOnEveryOtherCommand"},
	"l":             {"codes_test.go", "TestEveryCodeOnEveryOtherCommand"},
	"ufa":           {"codes_test.go", "TestEveryCodeOnEveryOtherCommand"},
	"pfa":           {"codes_test.go", "TestEveryCodeOnEveryOtherCommand"},
	"us0":           {"codes_test.go", "TestEveryCodeOnLogin"},
	"us":            {"codes_test.go", "TestEveryCodeOnLogin"},
	"sml":           {"codes_test.go", "TestEveryCodeOnLogout"},
	"whyamiblocked": {"codes_test.go", "TestEveryCodeOnTheReasonOfABlock"},
	"uq":            {"statuses_test.go", "TestEveryAnswerToAQuestion"},
	"usl":           {"statuses_test.go", "TestEveryAnswerToAQuestion"},
	"f":             {"statuses_test.go", "TestEveryAnswerToAQuestion"},
	"g":             {"statuses_test.go", "TestEveryAnswerToAQuestion"},
	"p":             {"../writeback/codes_test.go", "TestEveryCodeOnEveryCommandOfChanges"},
	"u":             {"../writeback/codes_test.go", "TestEveryCodeOnEveryCommandOfChanges"},
	"a":             {"../writeback/codes_test.go", "TestEveryCodeOnEveryCommandOfChanges"},
	"m":             {"../writeback/codes_test.go", "TestEveryCodeOnEveryCommandOfChanges"},
	"d":             {"../writeback/codes_test.go", "TestEveryCodeOnDeletionsForGood"},
	"k":             {"../writeback/keyless_test.go", "TestEveryCodeOnKeysGivenLater"},
}

// Each command that this package sends is refused with every number by some test. Whoever adds a command adds a row.
func TestEveryCommandIsRefusedBySomeTest(t *testing.T) {
	sent := commandsSent(t)
	for command := range sent {
		require.Contains(t, refusedBy, command, "no test has this command refused with every number")
	}
	for command, by := range refusedBy {
		require.Contains(t, sent, command, "nothing sends this command")
		require.Contains(t, functionText(t, by[0], by[1]), strconv.Quote(command), "%s doesn't name %s", by[1], command)
	}
}

// commandsSent reads the names of all commands from the package's source: the value of "a" in a map or in text, and of A
// in a struct.
func commandsSent(t *testing.T) map[string]bool {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	inText := regexp.MustCompile(`"a":"(\w+)"`)
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				field, _ := n.Key.(*ast.Ident)
				if value := literal(n.Value); value != "" && (literal(n.Key) == "a" || field != nil && field.Name == "A") {
					names[value] = true
				}
			case *ast.BasicLit:
				for _, m := range inText.FindAllStringSubmatch(literal(n), -1) {
					names[m[1]] = true
				}
			}
			return true
		})
	}
	return names
}

// literal is the text of a string that is written out, "" of anything else.
func literal(n ast.Node) string {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	text, _ := strconv.Unquote(lit.Value)
	return text
}

// functionText is the source of a function.
func functionText(t *testing.T, file, name string) string {
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, raw, 0)
	require.NoError(t, err)
	for _, decl := range parsed.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == name {
			return string(raw[set.Position(f.Pos()).Offset:set.Position(f.End()).Offset])
		}
	}
	t.Fatalf("%s has no %s", file, name)
	return ""
}
