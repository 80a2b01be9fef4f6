/* kit_parts.h - between the files of the kit only. */
#pragma once

void temp_clean(void);
