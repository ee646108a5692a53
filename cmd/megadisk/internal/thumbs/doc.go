// Package thumbs shows pictures to the desktop without their content. MEGA keeps a thumbnail and a preview with each
// picture; for the folders that a file manager looks at they are fetched, many in one request, and put where desktops
// look for thumbnails first (the freedesktop cache, $XDG_CACHE_HOME/thumbnails). Pictures that were uploaded from here
// get theirs made and attached, so that phone and web show them too.
//
// What lies in that cache is readable as any picture of this user is: the one exception to the rule that nothing is
// readable at rest. `-o thumbnails=` (an empty list of file managers) turns all of it off but the making.
package thumbs
