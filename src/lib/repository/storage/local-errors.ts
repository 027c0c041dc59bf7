import {DrError} from '../../errors.ts'
import {denied, full, notFound, unreachable} from './failures.ts'

export const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code

const hints: Readonly<Record<string, readonly string[]>> = {
  EACCES: ['Give the user that runs dr read and write permission on the folder, or choose another one.'],
  EPERM: ['Give the user that runs dr read and write permission on the folder, or choose another one.'],
  EROFS: ['Mount the file system writable, or choose another folder.'],
  ENOSPC: ['Free space on the file system (remove backups that are no longer needed), or choose another folder.'],
  EDQUOT: ['Raise the quota of the user that runs dr, or choose another folder.'],
}

/** What the file system refused, in the words of the storage contract. `what` names the object or the folder. */
export function localError(error: unknown, what: string): Error {
  if (error instanceof DrError || !(error instanceof Error)) return error as Error
  const code = codeOf(error)
  const rest = {cause: error, hints: hints[code ?? ''] ?? []}
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return denied(`Permission denied: ${what}.`, rest)
    case 'EROFS':
      return denied(`The file system is read-only: ${what}.`, rest)
    case 'ENOSPC':
      return full(`No space is left for ${what}.`, rest)
    case 'EDQUOT':
      return full(`The disk quota is used up: ${what}.`, rest)
    case 'ENOENT':
      return notFound(what, {cause: error})
    case 'ENOTDIR':
    case 'EISDIR':
    case 'EIO':
    case 'ESTALE':
    case 'ENOTCONN':
    case 'EMFILE':
    case 'ENAMETOOLONG':
      return unreachable(`The file system answered ${code} for ${what}.`, rest)
    default:
      return error
  }
}

/** Runs it; a file system error comes out as a `DrError`. */
export async function translated<T>(what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw localError(error, what)
  }
}
