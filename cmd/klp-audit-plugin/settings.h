// What internal/goenv says, for the entry.
DATA ·threads+0(SB)/8, $"GOMAXPRO"
DATA ·threads+8(SB)/5, $"CS=1\x00"
GLOBL ·threads(SB), RODATA|NOPTR, $13

DATA ·traceback+0(SB)/8, $"GOTRACEB"
DATA ·traceback+8(SB)/8, $"ACK=none"
DATA ·traceback+16(SB)/1, $0
GLOBL ·traceback(SB), RODATA|NOPTR, $17

// What is asked for before the runtime starts: see aside.
#define RLIMIT_AS	9
#define SPACE	0x80000000
#define RLIMIT_DATA	2
#define DATASPACE	0xa000000
