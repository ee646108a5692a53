package integration

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// Names and contents that occur nowhere by chance. Each is looked for as it is, in hex and in base64.
const (
	secretName   = "Wqxzjv-name"
	secretFolder = "Wqxzjv-folder"
	secretText   = "Wqxzjv-content-of-a-file"
)

// TestNothingSecretIsLeftBehind works hard with the most talkative log, and then searches everything that the
// program left on the disk, and what it shows of itself in /proc. The file with the session, where there is no
// keyring, is the one documented exception.
func TestNothingSecretIsLeftBehind(t *testing.T) {
	for _, level := range []string{"debug", "trace"} {
		t.Run(level, func(t *testing.T) {
			p, account := program.WithAccount(t)
			p.Login()
			busy(t, p, account, level)
			secrets := secretsOf(t, p)
			searched := 0
			require.NoError(t, filepath.WalkDir(p.Dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() || filepath.Base(path) == "session.json" {
					return err
				}
				data, err := os.ReadFile(path)
				searched += len(data)
				requireWithout(t, path, data, secrets)
				return err
			}))
			require.Greater(t, searched, 1<<20, "state, cache and logs were there")
		})
	}
}

// secretsOf are the secrets of an account that was busy, by what they are.
func secretsOf(t *testing.T, p *program.Program) map[string][]byte {
	t.Helper()
	session := sessionOf(t, p)
	secrets := map[string][]byte{"password": []byte(program.Password), "name": []byte(secretName),
		"folder": []byte(secretFolder), "content": []byte(secretText), "other client's name": []byte("Wqxzjv-cloud")}
	for what, text := range map[string]string{"master key": session.MasterKey, "session": session.SID} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(text), "="))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(raw), 16, what)
		secrets[what] = raw
	}
	return secrets
}

// requireWithout looks for secrets, in every form, in what was found somewhere.
func requireWithout(t *testing.T, where string, data []byte, secrets map[string][]byte) {
	t.Helper()
	for what, secret := range secrets {
		for form, pattern := range forms(secret) {
			if i := bytes.Index(data, pattern); i >= 0 {
				t.Errorf("%s holds the %s (%s): %q", where, what, form, data[max(0, i-200):min(len(data), i+100)])
			}
		}
	}
}

// The mounting process keeps its keys in memory that the kernel neither swaps out (lo) nor dumps (dd) nor gives to children
// (wf), and writes no dumps.
func TestKeyMemoryIsLocked(t *testing.T) {
	needs.Root(t) // nobody else may look into it
	p, _ := mountedProgram(t)
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", p.Statuses()[0].PID))
	require.NoError(t, err)
	locked := 0
	for line := range strings.Lines(string(smaps)) {
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok {
			if set := strings.Fields(flags); slices.Contains(set, "lo") && slices.Contains(set, "dd") && slices.Contains(set, "wf") {
				locked++
			}
		}
	}
	require.Equal(t, 1, locked)
}

// forms are the ways in which a secret could be written.
func forms(secret []byte) map[string][]byte {
	all := map[string][]byte{
		"as it is": secret, "hex": []byte(hex.EncodeToString(secret)), "HEX": bytes.ToUpper([]byte(hex.EncodeToString(secret))),
		"numbers": []byte(strings.Trim(fmt.Sprint(secret), "[]")),
	}
	// In base64 the same bytes look different at each of three places.
	for shift := range 3 {
		padded := append(make([]byte, shift), secret...)
		text := base64.RawURLEncoding.EncodeToString(padded)
		text = text[(shift*8+5)/6 : len(padded)*8/6]
		all[fmt.Sprintf("base64, %d bytes in", shift)] = []byte(text)
		all[fmt.Sprintf("standard base64, %d bytes in", shift)] = []byte(strings.NewReplacer("-", "+", "_", "/").Replace(text))
	}
	return all
}

// TestFormsFindWhatIsHidden keeps the search above honest.
func TestFormsFindWhatIsHidden(t *testing.T) {
	for before := range 7 {
		text := append(make([]byte, before), secretText+"more"...)
		for form, written := range map[string]string{
			"hex": hex.EncodeToString(text), "url": base64.RawURLEncoding.EncodeToString(text),
			"std": base64.StdEncoding.EncodeToString(text), "raw": string(text), "go": fmt.Sprint(text),
		} {
			found := false
			for _, pattern := range forms([]byte(secretText)) {
				found = found || bytes.Contains([]byte(written), pattern)
			}
			require.True(t, found, "%s, %d bytes in", form, before)
		}
	}
}

type savedSession struct{ SID, MasterKey string }

func sessionOf(t *testing.T, p *program.Program) savedSession {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(p.Dir, "state", "*", "*", "session.json"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	info, err := os.Stat(found[0])
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	var s struct {
		SID       string
		MasterKey any
	}
	blob, err := os.ReadFile(found[0])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(blob, &s))
	key, ok := s.MasterKey.(string)
	if !ok { // an array of numbers
		var raw []byte
		for _, n := range s.MasterKey.([]any) {
			raw = append(raw, byte(n.(float64)))
		}
		key = base64.RawURLEncoding.EncodeToString(raw)
	}
	return savedSession{s.SID, key}
}

// busy does what people do, with all that goes wrong.
func busy(t *testing.T, p *program.Program, account *megatest.Account, level string) {
	t.Helper()
	folder := account.Mkdir(account.Root(), "Wqxzjv-cloud")
	for i := range 3 {
		account.PutFile(folder, fmt.Sprintf("Wqxzjv-cloud %d", i), bytes.Repeat([]byte(secretText), 9000), megatestTime)
	}
	faults := p.Server.Faults()
	require.Contains(t, refused(t, p, 6, "", "--log-level", level, "mount", "/"+secretFolder, p.Point), secretFolder)
	p.Run("--log-level", level, "mount", "-o", "debug", p.Point)
	pid := p.Statuses()[0].PID
	faults.CorruptDownloads(1)
	faults.FailHTTP(megatest.API, 500, 2)
	faults.DropAfter("p", 2)
	p.Shell(fmt.Sprintf(`mkdir -p %[2]s/deep; for i in $(seq 30); do echo %[3]s $i >%[2]s/%[1]s-$i; done
		for i in $(seq 20000); do echo %[3]s; done >%[2]s/%[1]s-large
		cat Wqxzjv-cloud/* >/dev/null || true; cp Wqxzjv-cloud/"Wqxzjv-cloud 1" %[2]s/
		mv %[2]s/%[1]s-1 %[2]s/deep/%[1]s-moved; rm %[2]s/%[1]s-2; echo %[3]s >>%[2]s/%[1]s-3
		cat none-%[1]s 2>/dev/null || true; mkdir %[2]s 2>/dev/null || true; ls -lR >/dev/null; echo x >/dev/null`,
		secretName, secretFolder, secretText))
	_, _, _ = p.Try("", "flush")
	faults.FailCommand("p", -17, 3)
	faults.FailCommand("m", -11, 1)
	p.Shell(fmt.Sprintf(`echo %[3]s >%[2]s/%[1]s-quota; mv %[2]s/%[1]s-4 %[1]s-refused; mv %[2]s/%[1]s-5 %[2]s/deep; rm -r Wqxzjv-cloud`, secretName, secretFolder, secretText))
	_, _, _ = p.Try("", "flush")
	_, _, _ = p.Try("", "flush", filepath.Join(p.Point, secretFolder))
	for _, file := range []string{"environ", "cmdline"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err == nil { // only root may look
			require.NotEmpty(t, data, file)
			requireWithout(t, file, data, secretsOf(t, p))
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	require.NoError(t, err)
	require.Regexp(t, `Max core file size +0 +0`, string(limits))
	p.Kill() // leaves what a crash leaves
	p.Run("--log-level", level, "mount", p.Point)
	faults.Clear()
	account.EndSessions()
	p.Shell(fmt.Sprintf("echo %s >%s-pending", secretText, secretName))
	_, _, status := p.Try("", "flush")
	require.NotZero(t, status)
	p.Run("unmount", "--no-wait", p.Point)
}
