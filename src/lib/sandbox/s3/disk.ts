import {mkdirSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import {rm} from 'node:fs/promises'

/**
 * Written at once or not at all, as a reader sees it. Synchronous on purpose: between the check of a condition and the moment when
 * a write counts, no other request may run.
 */
export function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(value))
  renameSync(`${path}.new`, path)
}

export const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'))

export function makeFolders(...paths: readonly string[]): void {
  for (const path of paths) mkdirSync(path, {recursive: true})
}

export function removeFolder(path: string): void {
  rmSync(path, {recursive: true, force: true})
}

/** Data files that are no longer wanted go when their last reader has gone. */
export class DataFiles {
  readonly #readers = new Map<string, number>()
  readonly #unwanted = new Set<string>()

  /** Keeps the files readable until the returned function is called. */
  hold(paths: readonly string[]): () => void {
    for (const path of paths) this.#readers.set(path, (this.#readers.get(path) ?? 0) + 1)
    return () => {
      for (const path of paths) this.#release(path)
    }
  }

  discard(paths: readonly string[]): void {
    for (const path of paths) {
      if (this.#readers.has(path)) this.#unwanted.add(path)
      else void rm(path, {force: true})
    }
  }

  #release(path: string): void {
    const left = (this.#readers.get(path) ?? 1) - 1
    if (left > 0) {
      this.#readers.set(path, left)
      return
    }
    this.#readers.delete(path)
    if (this.#unwanted.delete(path)) void rm(path, {force: true})
  }
}
