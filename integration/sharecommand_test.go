package integration

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/integration/needs"
	"megadisk/integration/program"
	"megadisk/megaclient/megatest"
)

// given is what `megadisk share --json` says.
type given struct {
	Email, Access, Fingerprint string
	Compared                   bool
}

// sharing is a mount with a folder that has a key for others, since it has a link, and a second account beside it.
func sharing(t *testing.T) (p *program.Program, anna, ben *megatest.Account, folder string) {
	needs.FUSE(t)
	p, anna = program.WithAccount(t, megatest.WithAccountKeys())
	ben = p.Server.AddAccount("ben@example.com", "another", megatest.WithAccountKeys())
	dir := anna.Mkdir(anna.Root(), "Photos")
	anna.PutFile(anna.Mkdir(dir, "2026"), "one", []byte("first"), megatestTime)
	anna.Export(dir)
	p.Login()
	p.Mount()
	return p, anna, ben, filepath.Join(p.Point, "Photos")
}

// access lists who has access, as `megadisk share` tells it.
func access(t *testing.T, p *program.Program, folder string) []given {
	return readJSON[[]given](t, p.Run("share", folder, "--json"))
}

// TestShareCommand: a contact is let in, reads in a mount of his own what was there and what comes, gets more rights, puts
// something in, and loses access when nothing is left of which only the share has the key.
func TestShareCommand(t *testing.T) {
	p, anna, ben, folder := sharing(t)
	anna.Meet(ben, false)
	require.Empty(t, access(t, p, folder))
	require.Contains(t, p.Run("share", folder), "Nobody else")

	other := program.New(t, p.Server)
	other.LoginAs("ben@example.com", "another")
	other.Mount()
	seen := filepath.Join(other.Point, ".mega/shares/anna@example.com/Photos")

	p.Shell("echo second >Photos/two")
	done := readJSON[given](t, p.Run("share", folder, "BEN@example.com", "--json"))
	require.Equal(t, given{"BEN@example.com", "read", ben.Credentials().String(), false}, done)
	requireEventuallyFile(t, filepath.Join(seen, "2026/one"), "first")
	requireEventuallyFile(t, filepath.Join(seen, "two"), "second\n")
	p.Shell("echo third >Photos/2026/three")
	requireEventuallyFile(t, filepath.Join(seen, "2026/three"), "third\n")
	require.Eventually(t, func() bool { return len(access(t, p, folder)) == 1 }, bounded, 10*time.Millisecond)
	require.Contains(t, p.Run("share", folder), "read   ben@example.com")

	require.Contains(t, p.Run("share", folder, "ben@example.com", "--access", "full"), "full")
	require.Eventually(t, func() bool {
		list := access(t, p, folder)
		return len(list) == 1 && list[0].Access == "full"
	}, bounded, 10*time.Millisecond)

	second := filepath.Join(other.Dir, "second")
	require.NoError(t, os.Mkdir(second, 0o755))
	other.Run("mount", "/.mega/shares/Photos", second)
	require.NoError(t, os.WriteFile(filepath.Join(second, "from ben"), []byte("his"), 0o644))
	other.Run("flush")
	requireEventuallyFile(t, filepath.Join(folder, "from ben"), "his")
	require.Contains(t, refused(t, p, 1, "", "share", folder, "ben@example.com", "--remove"), "MEGA's web client")
	require.Len(t, access(t, p, folder), 1, "its keys would be nobody's")
	p.Shell("rm 'Photos/from ben'")
	p.Run("flush")

	require.Contains(t, p.Run("share", folder, "ben@example.com", "--remove"), "no access")
	require.Eventually(t, func() bool { return len(access(t, p, folder)) == 0 }, bounded, 10*time.Millisecond)
	require.Eventually(t, func() bool { _, err := os.Stat(seen); return errors.Is(err, os.ErrNotExist) }, bounded, 10*time.Millisecond)
	require.Contains(t, refused(t, p, 8, "", "share", folder, "ben@example.com", "--remove"), "no access")
}

// TestShareAsksForStrangers: whose keys nobody has met gets the folder's key only after a person has compared them.
func TestShareAsksForStrangers(t *testing.T) {
	p, anna, ben, folder := sharing(t)
	require.Contains(t, refused(t, p, 8, "", "share", folder, "nobody@example.com"), "not a contact")
	require.Contains(t, refused(t, p, 8, "", "share", folder, "ben@example.com"), "not a contact")
	anna.Befriend(ben)
	said := refused(t, p, 1, "", "share", folder, "ben@example.com")
	require.Contains(t, said, "never met")
	require.Contains(t, said, "--fingerprint '"+ben.Credentials().String()+"'")
	require.Contains(t, refused(t, p, 1, "", "share", folder, "ben@example.com", "--fingerprint", anna.Credentials().String()), "another fingerprint")
	require.Contains(t, refused(t, p, 2, "", "share", folder, "ben@example.com", "--fingerprint", "12 34"), "40 hex")
	require.Empty(t, access(t, p, folder), "nobody was let in")
	require.True(t, readJSON[given](t, p.Run("share", folder, "ben@example.com", "--json", "--fingerprint", ben.Credentials().String())).Compared)
	require.True(t, readJSON[given](t, p.Run("share", folder, "ben@example.com", "--json")).Compared, "once is enough")
}

// TestShareWithALyingServer: keys that are not signed, or others than before, get nothing.
func TestShareWithALyingServer(t *testing.T) {
	p, anna, ben, folder := sharing(t)
	anna.Befriend(ben)
	p.Run("share", folder, "ben@example.com", "--fingerprint", ben.Credentials().String())
	p.Run("share", folder, "ben@example.com", "--remove")

	other := make([]byte, 32)
	other[0] = 9
	ben.SetUserAttr("+puCu255", base64.RawURLEncoding.EncodeToString(other))
	require.Contains(t, refused(t, p, 1, "", "share", folder, "ben@example.com"), "not signed")
	ben.RenewKeys() // all of them, as the server could do, and as a reset of the account does
	require.Contains(t, refused(t, p, 1, "", "share", folder, "ben@example.com"), "others than before")
	require.Empty(t, access(t, p, folder), "nobody was let in")
	p.Run("share", folder, "ben@example.com", "--fingerprint", ben.Credentials().String())
	p.Run("share", folder, "ben@example.com")

	// What MEGA's own clients have met holds without megadisk's having seen it.
	carl := p.Server.AddAccount("carl@example.com", "third", megatest.WithAccountKeys())
	anna.Meet(carl, true)
	carl.RenewKeys()
	require.Contains(t, refused(t, p, 1, "", "share", folder, "carl@example.com"), "others than before")
}

// TestSharesThatCannotBe: each gets one sentence.
func TestSharesThatCannotBe(t *testing.T) {
	p, anna, ben, folder := sharing(t)
	anna.Meet(ben, true)
	p.Shell("mkdir fresh && echo text >file")
	p.Run("flush")
	require.Contains(t, refused(t, p, 1, "", "share", filepath.Join(p.Point, "fresh"), "ben@example.com"), "share it once in MEGA's web client")
	require.Contains(t, refused(t, p, 1, "", "share", filepath.Join(p.Point, "file"), "ben@example.com"), "only a folder")
	require.Contains(t, refused(t, p, 1, "", "share", p.Point, "ben@example.com"), "only a folder")
	lent := ben.Mkdir(ben.Root(), "lent")
	ben.Mkdir(lent, "deep")
	ben.Share(lent, anna, 2)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(p.Point, ".mega/shares/ben@example.com/lent/deep"))
		return err == nil
	}, bounded, 10*time.Millisecond)
	second := filepath.Join(p.Dir, "second")
	require.NoError(t, os.Mkdir(second, 0o755))
	p.Run("mount", "/.mega/shares/ben@example.com/lent", second)
	require.Contains(t, refused(t, p, 1, "", "share", filepath.Join(second, "deep"), "ben@example.com"), "only its owner")
	old := p.Server.AddAccount("old@example.com", "third")
	anna.Befriend(old)
	require.Contains(t, refused(t, p, 1, "", "share", folder, "old@example.com"), "no keys yet")
	for _, args := range [][]string{{"--access", "all"}, {"--remove", "--access", "read"}, {"--remove", "--fingerprint", "12"}} {
		refused(t, p, 2, "", append([]string{"share", folder, "ben@example.com"}, args...)...)
	}
	refused(t, p, 2, "", "share", folder, "--remove")
}
