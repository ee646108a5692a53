// Package peers runs MEGA clients that others wrote, unmodified, against the test server, each reading
// what the other and our own client wrote. The test server is right only when they believe it.
//
// megajs is installed by npm, in the version that package.json pins, into a temporary folder; agent.mjs
// drives it, one JSON command a line. Where node or npm can't be used the tests are skipped with one
// loud line; MEGADISK_REQUIRE_PEERS=1 makes that a failure. rclone is run if MEGADISK_RCLONE names a
// binary that has the mega backend.
package peers
