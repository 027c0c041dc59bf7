import {mkdir, open} from 'node:fs/promises'
import {preflightError} from '../../errors.ts'

/** Lets `fill` write into a file of mode 0600 in a private folder. A disk that is full is told as such. */
export async function spool<T>(file: string, directory: string, fill: (sink: (chunk: Buffer) => Promise<void>) => Promise<T>): Promise<T> {
  await mkdir(directory, {recursive: true, mode: 0o700})
  const handle = await open(file, 'w', 0o600)
  try {
    return await fill(async (chunk) => { await handle.writeFile(chunk) })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    throw preflightError('verify.no-room', `There is no room left in ${directory} to unpack the dump.`, {cause: error, hints: ['Free space, or set backup.stagingDirectory to a larger disk.']})
  } finally {
    await handle.close()
  }
}
