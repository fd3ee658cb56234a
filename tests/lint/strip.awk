# Blanks out comments, strings and character constants of C, keeping lines and columns, and prints
# file:line:text, so that a search for a call finds calls only.
FNR == 1 { comment = 0 }
{
	out = ""
	n = length($0)
	for (i = 1; i <= n; i++) {
		c = substr($0, i, 1)
		two = substr($0, i, 2)
		if (comment) {
			if (two == "*/") {
				comment = 0
				i++
				out = out " "
			}
			out = out " "
		} else if (two == "/*") {
			comment = 1
			i++
			out = out "  "
		} else if (two == "//") {
			break
		} else if (c == "\"" || c == "'") {
			out = out c
			for (i++; i <= n && substr($0, i, 1) != c; i++) {
				if (substr($0, i, 1) == "\\") {
					i++
					out = out " "
				}
				out = out " "
			}
			out = out c
		} else {
			out = out c
		}
	}
	print FILENAME ":" FNR ":" out
}
