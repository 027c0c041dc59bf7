import {mkdir, stat} from 'node:fs/promises'
import {homedir} from 'node:os'
import {dirname, join, resolve} from 'node:path'

/** An absolute path: `~/` is the home folder, anything relative starts at `base`. */
export const absolute = (path: string, base: string): string => (path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : resolve(base, path))

/**
 * Makes a folder and its parents, each readable by this user only. Existing folders stay as they are.
 * Not `recursive`: that one never comes back below /proc.
 */
export async function ensurePrivateFolder(path: string): Promise<void> {
  try {
    await mkdir(path, {mode: 0o700})
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path) throw error
    await ensurePrivateFolder(parent)
    await mkdir(path, {mode: 0o700}).catch((again: unknown) => {
      if ((again as NodeJS.ErrnoException).code !== 'EEXIST') throw again
    })
  }
}
