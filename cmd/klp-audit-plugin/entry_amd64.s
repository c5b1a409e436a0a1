#include "textflag.h"
#include "settings.h"

#define SYS_WRITE	1
#define SYS_PRLIMIT	302
#define SYS_EXIT_GROUP	231

// entry is where the kernel starts this program: see entry.go.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVL	$SYS_PRLIMIT, AX
	MOVL	$0, DI			// of this process
	MOVL	$RLIMIT_AS, SI
	MOVL	$0, DX			// it is not changed
	LEAQ	-16(SP), R10
	SYSCALL
	TESTQ	AX, AX
	JNZ	data
	MOVQ	$SPACE, AX
	CMPQ	-16(SP), AX
	JCS	aside
data:
	MOVL	$SYS_PRLIMIT, AX
	MOVL	$0, DI
	MOVL	$RLIMIT_DATA, SI
	MOVL	$0, DX
	LEAQ	-16(SP), R10
	SYSCALL
	TESTQ	AX, AX
	JNZ	roomy
	MOVQ	$DATASPACE, AX
	CMPQ	-16(SP), AX
	JCC	roomy
aside:
	MOVL	$SYS_WRITE, AX
	MOVL	$2, DI
	MOVQ	·aside(SB), SI
	MOVQ	·aside+8(SB), DX
	SYSCALL
	MOVL	$SYS_EXIT_GROUP, AX
	MOVL	$0, DI
	SYSCALL
roomy:
	MOVQ	SP, SI
	MOVQ	0(SI), CX
	ADDQ	$2, CX			// with argc itself, and the zero after the arguments
argument:
	MOVQ	0(SI), AX
	MOVQ	AX, -16(SI)
	ADDQ	$8, SI
	SUBQ	$1, CX
	JNZ	argument
variable:
	MOVQ	0(SI), AX
	TESTQ	AX, AX
	JZ	settings
	CMPB	0(AX), $'G'
	JNE	keep
	CMPB	1(AX), $'O'
	JNE	keep
	CMPB	2(AX), $'A'
	JCS	keep
	CMPB	2(AX), $'Z'
	JHI	keep
	MOVB	$0, 0(AX)
keep:
	MOVQ	AX, -16(SI)
	ADDQ	$8, SI
	JMP	variable
settings:
	LEAQ	·threads(SB), AX
	MOVQ	AX, -16(SI)
	LEAQ	·traceback(SB), AX
	MOVQ	AX, -8(SI)
	SUBQ	$16, SP
	JMP	_rt0_amd64_linux(SB)
