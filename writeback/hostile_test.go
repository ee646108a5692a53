package writeback

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient/megacrypto"
	"megadisk/megaclient/megatest"
)

// TestHostileEvents: whatever comes on the event stream, nothing ends, nothing gets out of the mount or breaks the
// tree, what comes after it is applied, and in the end the mount shows what the cloud has.
func TestHostileEvents(t *testing.T) {
	rows := map[string]func(l *liar) []string{
		"no object":     func(*liar) []string { return []string{`7`, `"x"`, `[]`, `null`, `{}`} },
		"unknown types": func(*liar) []string { return []string{`{"a":"zz","x":[[[1]]]}`, `{"a":7}`, `{"a":{}}`} },
		"without its node": func(*liar) []string {
			return []string{`{"a":"u"}`, `{"a":"d","n":7}`, `{"a":"t"}`, `{"a":"fa","n":"short"}`}
		},
		"unknown nodes": func(*liar) []string {
			return []string{`{"a":"d","n":"NOBODYAA"}`, `{"a":"u","n":"NOBODYAA","at":"AA"}`, `{"a":"d","n":"NOBODYAA","m":1}`}
		},
		"the top folder goes": func(l *liar) []string { return []string{fmt.Sprintf(`{"a":"d","n":"%s"}`, l.account.Root())} },
		"half of a move": func(l *liar) []string {
			return []string{fmt.Sprintf(`{"a":"d","n":"%s","m":1}`, l.account.Find("d/e"))}
		},
		"a folder in itself": func(l *liar) []string {
			return []string{nodesPacket(l.node(l.account.Find("d"), map[string]any{"p": l.account.Find("d")}))}
		},
		"a folder below itself": func(l *liar) []string {
			return []string{nodesPacket(l.node(l.account.Find("d"), map[string]any{"p": l.account.Find("d/e")}))}
		},
		"two folders in each other": func(l *liar) []string {
			return []string{nodesPacket(
				l.node(l.folder, map[string]any{"h": "CYCLEAAA", "p": "CYCLEBBB"}), l.node(l.folder, map[string]any{"h": "CYCLEBBB", "p": "CYCLEAAA"}))}
		},
		"a folder in a file": func(l *liar) []string {
			return []string{nodesPacket(l.node(l.folder, map[string]any{"h": "INFILEAA", "p": l.account.Find("f")}))}
		},
		"a file that became a folder": func(l *liar) []string {
			return []string{nodesPacket(l.node(l.account.Find("f"), map[string]any{"t": 1}))}
		},
		"impossible values": func(l *liar) []string {
			return []string{nodesPacket(l.node(l.account.Find("f"), map[string]any{"s": -5, "ts": -1 << 62})),
				nodesPacket(l.node(l.account.Find("f"), map[string]any{"s": 1 << 62, "ts": 1 << 62})),
				nodesPacket(l.node(l.account.Find("f"), map[string]any{"s": "x", "t": "y", "k": 7, "a": []int{1}}))}
		},
		"keys of wrong length": func(l *liar) []string {
			var all []string
			for i, k := range []string{"", "A", "AAAA", strings.Repeat("A", 21), strings.Repeat("A", 44), strings.Repeat("A", 5000)} {
				all = append(all, nodesPacket(l.node(l.folder, map[string]any{"h": fmt.Sprintf("BADKEY0%d", i), "k": l.account.Handle + ":" + k})))
			}
			return all
		},
		"hostile names": func(l *liar) []string {
			var all []string
			for i, name := range []string{"", ".", "..", "../../etc", "a/b", "\x00", "x\x00y", strings.Repeat("ü", 4000), "\u202e", "‛2f"} {
				key := megacrypto.NewKey()
				attrs := megacrypto.Attributes{}
				attrs.SetString("n", name)
				all = append(all, l.named(fmt.Sprintf("BADNAM%02d", i), key, attrs))
			}
			return all
		},
		"hostile attributes": func(l *liar) []string {
			deep := megacrypto.Attributes{"n": json.RawMessage(`"deep"`), "x": json.RawMessage(strings.Repeat("[", 9000) + strings.Repeat("]", 9000))}
			odd := megacrypto.Attributes{"n": json.RawMessage(`{"n":1}`), "c": json.RawMessage(`[]`), "mdx": json.RawMessage(`7`)}
			big := megacrypto.Attributes{}
			big.SetString("n", "big")
			big.SetString("x", strings.Repeat("x", 60000))
			return []string{l.named("DEEPAAAA", megacrypto.NewKey(), deep), l.named("ODDAAAAA", megacrypto.NewKey(), odd),
				l.named("BIGAAAAA", megacrypto.NewKey(), big),
				fmt.Sprintf(`{"a":"u","n":"%s","at":"%s"}`, l.account.Find("f"), strings.Repeat("A", 3<<20))}
		},
		"repeated": func(l *liar) []string {
			p := nodesPacket(l.node(l.account.Find("f"), nil), l.node(l.account.Find("d"), nil))
			return []string{p, p, p, fmt.Sprintf(`{"a":"d","n":"%s"}`, l.account.Find("f")), p}
		},
		"children first": func(l *liar) []string {
			return []string{nodesPacket(l.node(l.folder, map[string]any{"h": "CHILDAAA", "p": "PARENTAA"})),
				nodesPacket(l.node(l.folder, map[string]any{"h": "PARENTAA"}))}
		},
	}
	for name, lie := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLiar(t)
			o := there{l.rig}
			o.write("f", "F")
			o.mkdir("d")
			o.mkdir("d/e")
			o.write("d/e/g", "G")
			l.caughtUp()
			l.server.Faults().Tell(l.account, lie(l)...)
			o.write("after", "A")
			l.eventually(func() bool { _, err := l.engine.Tree().Resolve("after"); return err == nil })
			l.caughtUp()
			_, err := l.view()
			require.NoError(t, err)
			for _, n := range l.names("") {
				require.NotContains(t, []string{"", ".", ".."}, n)
				require.NotContains(t, n, "/")
				require.NotContains(t, n, "\x00")
			}
			l.write("mine", "M")
			l.flush()
			l.engine.stream.wantFetch() // whatever was made up goes with the next fetch
			l.server.Faults().Tell(l.account, `{"a":"zz"}`)
			l.caughtUp()
			l.eventually(func() bool {
				view, err := l.view()
				return err == nil && len(view) == len(l.cloud())
			})
			view, err := l.view()
			require.NoError(t, err)
			require.Equal(t, l.cloud(), view)
		})
	}
}

// TestNodesWithMuchText: many nodes whose attributes are long, as of files with extended attributes, change in one answer, come
// with a full fetch, and go in one answer.
func TestNodesWithMuchText(t *testing.T) {
	const count = 80
	l := newLiar(t)
	var changed, removed []string
	for i := range count {
		h := l.account.Mkdir(l.account.Root(), fmt.Sprint("folder ", i))
		l.account.SetAttr(h, "text", strings.Repeat("x", 20_000))
		changed = append(changed, fmt.Sprintf(`{"a":"u","n":"%s","ts":%d}`, h, 1_700_000_000+i))
		removed = append(removed, fmt.Sprintf(`{"a":"d","n":"%s"}`, h))
	}
	all := func(there int) { l.eventually(func() bool { return len(l.names("")) == 1+there }) }
	all(count)
	l.server.Faults().Tell(l.account, changed...)
	l.caughtUp()
	l.refetched()
	all(count)
	l.server.Faults().Tell(l.account, removed...)
	all(0)
	l.refetched()
	all(count)
}

// named gives a packet with a folder of any attributes.
func (l *liar) named(h string, key megacrypto.Key, attrs megacrypto.Attributes) string {
	l.Helper()
	a, err := megacrypto.EncryptAttributes(key, attrs)
	require.NoError(l, err)
	sealed, err := megacrypto.EncryptKey(l.account.MasterKey(), key[:])
	require.NoError(l, err)
	return nodesPacket(l.node(l.folder, map[string]any{"h": h, "a": a, "k": l.account.Handle + ":" + megacrypto.EncodeBase64(sealed)}))
}

// TestManyEventsInOneAnswer: all are taken in, and what comes after them. The longer form has a million.
func TestManyEventsInOneAnswer(t *testing.T) {
	packets := 5_000
	if os.Getenv("MEGADISK_LONG") != "" {
		packets = 1_000_000
	}
	l := newLiar(t, megatest.WithPacketLog(packets+1000), megatest.WithPacketSlice(packets+1000))
	list := make([]string, packets)
	for i := range list {
		list[i] = fmt.Sprintf(`{"a":"d","n":"%08d"}`, i)
	}
	began := time.Now()
	l.server.Faults().Tell(l.account, append(list, nodesPacket(l.node(l.folder, map[string]any{"h": "LASTAAAA"})))...)
	l.eventually(func() bool { return len(l.names("")) == 2 })
	t.Logf("%d packets in %v", packets, time.Since(began))
	l.write("mine", "M")
	l.flush()
}

// TestCatchingUp: many packets at once are applied while the mount answers. The longer form has 100,000, and 30 s for them.
func TestCatchingUp(t *testing.T) {
	packets, long := 3000, os.Getenv("MEGADISK_LONG") != ""
	if long {
		packets = 100_000
	}
	l := newLiar(t, megatest.WithPacketLog(packets+1000))
	h := l.account.Find("ours")
	raw := l.node(h, nil)
	list := make([]string, packets)
	for i := range list {
		key := megacrypto.NewKey()
		if i%2 == 1 {
			list[i] = nodesPacket(raw)
			continue
		}
		attrs := megacrypto.Attributes{}
		attrs.SetString("n", fmt.Sprintf("folder %d", i))
		a, err := megacrypto.EncryptAttributes(key, attrs)
		require.NoError(t, err)
		sealed, err := megacrypto.EncryptKey(l.account.MasterKey(), key[:])
		require.NoError(t, err)
		list[i] = nodesPacket(fmt.Sprintf(`{"h":"%08d","p":"%s","u":"%s","t":1,"a":"%s","k":"%s:%s","ts":1700000000}`,
			i, h, l.account.Handle, a, l.account.Handle, megacrypto.EncodeBase64(sealed)))
	}
	began := time.Now()
	l.server.Faults().Tell(l.account, list...)
	slowest := time.Duration(0)
	l.eventually(func() bool {
		asked := time.Now()
		l.names("")
		_, err := l.engine.Tree().Resolve(fmt.Sprintf("ours/folder %d", (packets-1)/2*2))
		slowest = max(slowest, time.Since(asked))
		return err == nil
	})
	took := time.Since(began)
	t.Logf("%d packets in %v; the slowest listing meanwhile took %v", packets, took, slowest)
	l.caughtUp()
	shown, err := l.engine.Tree().ReadDir(l.ino("ours"), "", packets)
	require.NoError(t, err)
	require.Len(t, shown, packets/2)
	if long {
		require.Less(t, took, 30*time.Second)
		require.Less(t, slowest, time.Second)
	}
}
