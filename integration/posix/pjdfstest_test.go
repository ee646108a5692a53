package posix

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/program"
)

const list = "../../docs/POSIX.md"

func TestMain(m *testing.M) {
	code := m.Run()
	program.CleanUp()
	os.Exit(code)
}

// TestPjdfstest runs every file of pjdfstest in a mount and compares the cases that fail with those of the list.
func TestPjdfstest(t *testing.T) {
	suite := os.Getenv("MEGADISK_PJDFSTEST")
	if suite == "" {
		t.Skip("SKIPPED, NOT RUN: MEGADISK_PJDFSTEST names no built pjdfstest")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT RUN: pjdfstest needs root")
	}
	files, err := filepath.Glob(filepath.Join(suite, "tests", "*", "*.t"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "MEGADISK_PJDFSTEST=%s has no tests", suite)
	only := regexp.MustCompile(os.Getenv("MEGADISK_PJDFSTEST_ONLY"))
	listed := readList(t)

	p, _ := program.WithAccount(t)
	p.Login()
	p.Run("mount", "--allow-other", "--umask", "022", p.Point)
	for name := range listed {
		require.FileExists(t, filepath.Join(suite, "tests", name), "docs/POSIX.md lists what the suite doesn't have")
	}
	for _, file := range files {
		name, _ := filepath.Rel(filepath.Join(suite, "tests"), file)
		if !only.MatchString(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			failed, ran := runFile(t, p.Point, file)
			unlisted, passing := listed[name].compare(failed)
			require.NotZero(t, ran, "no case ran")
			if len(unlisted) > 0 {
				t.Errorf("fail and are not in docs/POSIX.md:\n%s", strings.Join(unlisted, "\n"))
			}
			require.Empty(t, passing, "are in docs/POSIX.md as failing, and pass")
		})
	}
}

var caseLine = regexp.MustCompile(`^(not )?ok (\d+)(.*)$`)

// runFile returns the failing cases of one file, by number, with what it says of each.
func runFile(t *testing.T, point, file string) (failed map[int]string, ran int) {
	t.Helper()
	dir, err := os.MkdirTemp(point, "pjd")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	defer os.RemoveAll(dir)
	cmd := exec.Command("bash", file)
	cmd.Dir = dir
	out, err := cmd.Output()
	require.NoError(t, err, "%s", out)
	failed = map[int]string{}
	for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
		m := caseLine.FindStringSubmatch(scan.Text())
		if m == nil {
			continue
		}
		ran++
		if m[1] != "" && !strings.Contains(m[3], "# TODO") {
			n, _ := strconv.Atoi(m[2])
			failed[n] = scan.Text()
		}
	}
	if strings.HasPrefix(string(out), "1..0") {
		ran++ // the file says itself that there is nothing for it here
	}
	return failed, ran
}

// cases are those of a file that are listed as failing.
type cases map[int]bool

// compare gives what fails and isn't listed, and what is listed and passes.
func (c cases) compare(failed map[int]string) (unlisted, passing []string) {
	for n, line := range failed {
		if !c[n] {
			unlisted = append(unlisted, line)
		}
	}
	for n := range c {
		if _, is := failed[n]; !is {
			passing = append(passing, strconv.Itoa(n))
		}
	}
	sort.Strings(unlisted)
	return unlisted, passing
}

// TestAWrongListIsNoticed holds the comparison where the suite isn't there: a list that is wrong in either direction fails.
func TestAWrongListIsNoticed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "00.t")
	script := "echo 1..5; echo ok 1; echo 'not ok 2 - expected 0'; echo 'not ok 3 - # TODO'; echo ok 4; echo 'not ok 5'"
	require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
	failed, ran := runFile(t, t.TempDir(), file)
	require.Equal(t, 5, ran)
	for _, test := range []struct {
		listed            cases
		unlisted, passing []string
	}{
		{cases{2: true, 5: true}, nil, nil},
		{cases{2: true}, []string{"not ok 5"}, nil},
		{cases{2: true, 4: true, 5: true}, nil, []string{"4"}},
		{cases{1: true}, []string{"not ok 2 - expected 0", "not ok 5"}, []string{"1"}},
	} {
		unlisted, passing := test.listed.compare(failed)
		require.Equal(t, test.unlisted, unlisted)
		require.Equal(t, test.passing, passing)
	}
}

// listRow is a row of docs/POSIX.md: the file, its failing cases, and the reason.
var listRow = regexp.MustCompile("^\\| `([a-z_]+/[0-9]+\\.t)` \\| ([0-9, -]+) \\| (.+) \\|$")

func readList(t *testing.T) map[string]cases {
	t.Helper()
	text, err := os.ReadFile(list)
	require.NoError(t, err)
	listed := map[string]cases{}
	for line := range strings.Lines(string(text)) {
		m := listRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		require.Nil(t, listed[m[1]], "%s stands twice in docs/POSIX.md", m[1])
		listed[m[1]] = cases{}
		for part := range strings.SplitSeq(m[2], ",") {
			from, to, err := span(strings.TrimSpace(part))
			require.NoError(t, err, line)
			for n := from; n <= to; n++ {
				listed[m[1]][n] = true
			}
		}
	}
	return listed
}

// span reads "7" or "7-12".
func span(s string) (from, to int, err error) {
	low, high, isSpan := strings.Cut(s, "-")
	if !isSpan {
		high = low
	}
	if from, err = strconv.Atoi(low); err != nil {
		return 0, 0, fmt.Errorf("%q is no number of a case: %w", s, err)
	}
	if to, err = strconv.Atoi(high); err != nil {
		return 0, 0, fmt.Errorf("%q is no number of a case: %w", s, err)
	}
	return from, to, nil
}

// TestListHasReasons holds the list's form also where the suite isn't there: each reason is told, and the sums are right.
func TestListHasReasons(t *testing.T) {
	listed := readList(t)
	sum := 0
	for _, cases := range listed {
		sum += len(cases)
	}
	text, err := os.ReadFile(list)
	require.NoError(t, err)
	sums := fmt.Sprintf("%d of the suite's cases are listed, in %d of ", sum, len(listed))
	require.True(t, strings.Contains(string(text), sums), "there it should say: %s", sums)
	for line := range strings.Lines(string(text)) {
		if m := listRow.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			for reason := range strings.SplitSeq(m[3], ", ") {
				require.True(t, strings.Contains(string(text), "\n| "+reason+" | "), "%s: %q is explained nowhere", m[1], reason)
			}
		}
	}
}
