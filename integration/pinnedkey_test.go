package integration

import (
	"encoding/hex"
	"encoding/pem"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/integration/program"
	"megadisk/megaclient"
)

// With the API's key pinned, a server with another one is refused in one sentence, though its certificate holds; nothing
// is sent to it, and there is no second try.
func TestPinnedKeyOfTheAPI(t *testing.T) {
	p, _ := program.WithAccount(t)
	target, err := url.Parse(p.Server.URL())
	require.NoError(t, err)
	s := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	t.Cleanup(s.Close)
	trusted := filepath.Join(p.Dir, "trusted.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	require.NoError(t, os.WriteFile(trusted, block, 0o600))
	p.Env = append(p.Env, "MEGADISK_API_URL="+s.URL, "SSL_CERT_FILE="+trusted)
	right := megaclient.PinOf(s.Certificate().RawSubjectPublicKeyInfo)
	login := func(pin string) []string {
		return []string{"login", program.Email, "--password-file", "-", "--pin", pin}
	}
	said := refused(t, p, 1, program.Password+"\n", login(strings.Repeat("ab", 32))...)
	require.Contains(t, said, "none of those that are pinned")
	require.Len(t, strings.Split(strings.TrimSpace(said), "\n"), 1)
	_, errs, status := p.Try(program.Password+"\n", login(hex.EncodeToString(right[:]))...)
	require.Zero(t, status, errs)
	require.Contains(t, refused(t, p, 2, "", "status", "--pin", "zz"), "no SHA-256")
	p.Env = append(p.Env, "MEGADISK_PIN="+strings.Repeat("ab", 32))
	require.Contains(t, refused(t, p, 1, "", "whoami"), "none of those that are pinned")
}
