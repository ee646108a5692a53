package serve

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadMounts(t *testing.T) {
	const table = `22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
36 22 0:40 / /mnt/my\040drive rw,nosuid,nodev shared:5 master:2 - fuse.megadisk anna@example.com:/ rw,user_id=1000,group_id=1000
broken line
`
	require.Equal(t, []mountLine{
		{point: "/", kind: "ext4", from: "/dev/sda1", user: -1},
		{point: "/mnt/my drive", kind: "fuse.megadisk", from: "anna@example.com:/", user: 1000},
	}, readMounts(strings.NewReader(table)))
}
