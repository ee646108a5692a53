package writeback

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"megadisk/megaclient"
	"megadisk/megaclient/megacrypto"
)

// manyRows are more than a transaction takes.
const manyRows = 14_000

// inSteps calls fn with the numbers below n, in transactions of bounded size.
func (m *mount) inSteps(n int, fn func(c *change, i int) error) {
	m.t.Helper()
	for i := 0; i < n; {
		require.NoError(m.t, m.engine.update(m.ctx, func(c *change) error {
			for end := min(i+50, n); i < end; i++ {
				if err := fn(c, i); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// foreignFile is a file that somebody else has put into the drive, with so many bytes of attributes.
func (r *rig) foreignFile(i, text int) *megaclient.Node {
	key := megacrypto.NewFileKey()
	attrs := megacrypto.Attributes{}
	attrs.SetString("n", fmt.Sprintf("file-%d", i))
	attrs.SetString("x", strings.Repeat("x", text))
	return &megaclient.Node{Handle: megaclient.Handle(fmt.Sprintf("N%07d", i)), Parent: megaclient.Handle(r.account.Root()),
		Type: megaclient.FileNode, Size: 1, Created: 1_600_000_000, Key: key.Pack(), Attrs: attrs, Access: megaclient.AccessOwner}
}
