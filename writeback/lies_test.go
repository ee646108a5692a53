package writeback

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
	"megadisk/writeback/tree"
)

// liar is a server that wants to read what is put into the folder "ours", and so wants its client to encrypt keys
// of new nodes for a key of the server's choice.
type liar struct {
	*rig
	folder  string // "ours"
	chosen  megacrypto.Key
	sealed  string // chosen, for the account
	mallory *megatest.Account
	shared  string // a folder of mallory's, shared with us in truth

	mu    sync.Mutex
	grant []string // commands that encrypted keys for a share. GUARDED_BY(mu)
}

func newLiar(t *testing.T, opts ...megatest.Option) *liar {
	r := newRig(t, settleNever, opts...)
	l := &liar{rig: r, chosen: megacrypto.NewKey(), folder: r.account.Mkdir(r.account.Root(), "ours")}
	l.sealed = r.account.Seal(l.chosen[:])
	l.mallory = r.server.AddAccount("mallory@example.org", "x", megatest.V1())
	l.shared = l.mallory.Mkdir(l.mallory.Root(), "theirs")
	l.mallory.Share(l.shared, r.account, megaclient.AccessFull)
	r.server.OnCommand(func(name string, body json.RawMessage) {
		if strings.Contains(string(body), `"cr":`) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.grant = append(l.grant, string(body))
		}
	})
	r.caughtUp()
	return l
}

func (l *liar) grants() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grant
}

// node gives a node as the server would tell it, with other fields.
func (l *liar) node(h string, fields map[string]any) string {
	l.Helper()
	var all struct{ F []map[string]any }
	require.NoError(l, l.account.Do(map[string]any{"a": "f", "c": 1, "r": 1}, &all))
	for _, n := range all.F {
		if n["h"] != h {
			continue
		}
		for k, v := range fields {
			n[k] = v
		}
		raw, err := json.Marshal(n)
		require.NoError(l, err)
		return string(raw)
	}
	require.FailNow(l, "no such node")
	return ""
}

func nodesPacket(nodes ...string) string {
	return `{"a":"t","t":{"f":[` + strings.Join(nodes, ",") + `]},"ou":"VVVVVVVVVVV"}`
}

// TestAServerCannotChooseKeysForOurFolders: whatever it says, nothing that is put into a folder of our own is
// encrypted for a key that it knows; and what it said isn't believed after the next start either.
func TestAServerCannotChooseKeysForOurFolders(t *testing.T) {
	lies := map[string]func(l *liar) []string{
		"our folder is an incoming share": func(l *liar) []string {
			return []string{fmt.Sprintf(`{"a":"s2","n":"%s","o":"%s","u":"%s","r":2,"k":"%s"}`, l.folder, l.mallory.Handle, l.account.Handle, l.sealed)}
		},
		"a key alone": func(l *liar) []string {
			return []string{fmt.Sprintf(`{"a":"s","n":"%s","k":"%s"}`, l.folder, l.sealed)}
		},
		"a share that we gave": func(l *liar) []string {
			return []string{
				fmt.Sprintf(`{"a":"s2","n":"%s","o":"%s","u":"%s","r":2,"k":"%s"}`, l.folder, l.account.Handle, l.mallory.Handle, l.sealed),
				fmt.Sprintf(`{"a":"s2","n":"%s","o":"%s","u":"EXP","r":0,"ok":"%s","ha":"AAAAAAAAAAAAAAAAAAAAAA"}`, l.folder, l.account.Handle, l.sealed[:22]),
			}
		},
		"our folder is the root of a share": func(l *liar) []string {
			return []string{nodesPacket(l.node(l.folder, map[string]any{"su": l.mallory.Handle, "sk": l.sealed, "r": 2}))}
		},
		"our folder is the root of a share elsewhere, and then back": func(l *liar) []string {
			return []string{
				nodesPacket(l.node(l.folder, map[string]any{"su": l.mallory.Handle, "sk": l.sealed, "r": 2, "p": "ELSEWHER"})),
				nodesPacket(l.node(l.folder, nil)),
			}
		},
		"our folder is the root of a share elsewhere": func(l *liar) []string {
			return []string{nodesPacket(l.node(l.folder, map[string]any{"su": l.mallory.Handle, "sk": l.sealed, "r": 2, "p": "ELSEWHER"}))}
		},
		"our folder moved into a share": func(l *liar) []string {
			return []string{nodesPacket(l.node(l.folder, map[string]any{"p": l.shared}))}
		},
		"a share inside our folder": func(l *liar) []string {
			return []string{
				nodesPacket(l.node(l.account.Mkdir(l.folder, "inner"), map[string]any{"su": l.mallory.Handle, "sk": l.sealed, "r": 2})),
				fmt.Sprintf(`{"a":"s2","n":"%s","o":"%s","u":"%s","r":2,"k":"%s"}`, l.folder, l.mallory.Handle, l.account.Handle, l.sealed),
			}
		},
	}
	for name, lie := range lies {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", name, restart), func(t *testing.T) {
				l := newLiar(t)
				l.server.Faults().Tell(l.account, lie(l)...)
				l.caughtUp()
				if restart {
					l.stop()
					l.start()
					l.caughtUp()
				}
				if _, err := l.engine.Tree().Resolve("ours"); err != nil {
					l.mkdir("ours")
				}
				l.write("ours/diary", "secret")
				l.mkdir("ours/below")
				l.write("ours/below/file", "secret")
				l.flush()
				l.write("else", "secret")
				l.rename("else", "ours/else")
				l.flush()
				require.Empty(t, l.grants())
				cloud := l.cloud()
				require.Equal(t, "secret", cloud["ours/diary"])
				require.Equal(t, "secret", cloud["ours/below/file"])
			})
		}
	}
}

// TestWhatIsSharedInTruthGetsItsKeys: the shares that are real work on, after a restart too.
func TestWhatIsSharedInTruthGetsItsKeys(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			l := newLiar(t)
			l.account.Share(l.folder, l.mallory, megaclient.AccessRead)
			l.caughtUp()
			if restart {
				l.stop()
				l.start()
				l.caughtUp()
			}
			l.write("ours/for them", "1")
			theirs, ok := tree.Ino(0), false
			require.NoError(t, l.engine.Tree().View(func(tx *tree.Tx) error {
				theirs, ok = tx.ByHandle(megaclient.Handle(l.shared))
				return nil
			}))
			require.True(t, ok)
			in, err := l.engine.Create(l.ctx, theirs, "from us", 0o644)
			require.NoError(t, err)
			f, err := l.engine.Open(l.ctx, in.Ino, true, true)
			require.NoError(t, err)
			_, err = f.WriteAt(l.ctx, []byte("2"), 0)
			require.NoError(t, err)
			require.NoError(t, f.Flush(l.ctx))
			f.Release()
			l.flush()
			require.Equal(t, "1", string(l.mallory.ReadFile(l.mallory.TreeBelow(l.folder)["for them"].Handle)))
			require.Equal(t, "2", string(l.mallory.ReadFile(l.mallory.Find("theirs/from us"))))
		})
	}
}

// TestAKnownKeyIsNeverReplaced: a server that tells a known node's key anew, of its own choice, gets no attributes
// encrypted with it, and the file is read as before.
func TestAKnownKeyIsNeverReplaced(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			l := newLiar(t)
			file := l.account.PutFile(l.account.Root(), "file", []byte("content"), time.Time{})
			l.caughtUp()
			attrs := megacrypto.Attributes{}
			attrs.SetString("n", "planted")
			a, err := megacrypto.EncryptAttributes(l.chosen, attrs)
			require.NoError(t, err)
			packed := append(make([]byte, 16), make([]byte, 16)...)
			copy(packed, l.chosen[:])
			l.server.Faults().Tell(l.account,
				nodesPacket(l.node(l.folder, map[string]any{"k": l.account.Handle + ":" + l.sealed, "a": a})),
				nodesPacket(l.node(file, map[string]any{"k": l.account.Handle + ":" + l.account.Seal(packed), "a": a})))
			l.caughtUp()
			if restart {
				l.stop()
				l.start()
				l.caughtUp()
			}
			require.Equal(t, "content", l.read("file"))
			l.rename("ours", "renamed")
			l.rename("file", "also")
			l.flush()
			require.Equal(t, "renamed", l.account.Name(l.folder), "with the key that the folder always had")
			require.Equal(t, "also", l.account.Name(file))
		})
	}
}

// TestForeignKeysAreNotGivenBackUnderTheMasterKey: a file whose key somebody else chose can be copied, but its key
// isn't sent encrypted with our master key, which would make it look like one of ours.
func TestForeignKeysAreNotGivenBackUnderTheMasterKey(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			l := newLiar(t)
			key := l.mallory.Key(l.mallory.PutFile(l.shared, "gift", []byte("horse"), time.Unix(1e9, 0)))
			l.caughtUp()
			if restart {
				l.stop()
				l.start()
				l.caughtUp()
			}
			var gift tree.Inode
			require.NoError(t, l.engine.Tree().View(func(tx *tree.Tx) error {
				theirs, _ := tx.ByHandle(megaclient.Handle(l.shared))
				var err error
				gift, err = tx.Lookup(theirs, "gift")
				return err
			}))
			require.Equal(t, key, gift.Cloud.Key)
			under, err := megacrypto.EncryptKey(l.account.MasterKey(), key)
			require.NoError(t, err)
			var sent []string
			var mu sync.Mutex
			l.server.OnCommand(func(_ string, body json.RawMessage) {
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, string(body))
			})
			src, err := l.engine.Open(l.ctx, gift.Ino, false, false)
			require.NoError(t, err)
			dst := l.create("copy")
			_, err = dst.CopyFrom(l.ctx, src, 0, 0, gift.Size)
			require.NoError(t, err)
			dst.Release()
			src.Release()
			l.flush()
			require.Equal(t, map[string]string{"ours": "/", "copy": "horse"}, l.cloud())
			mu.Lock()
			defer mu.Unlock()
			require.NotContains(t, strings.Join(sent, "\n"), megacrypto.EncodeBase64(under))
		})
	}
}
