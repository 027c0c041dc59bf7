import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

/** A new folder for each test of a suite, removed after it. Call it inside `describe`. */
export function temporaryFolder(): {readonly path: string} {
  const folder = {path: ''}
  beforeEach(async () => {
    folder.path = await mkdtemp(join(tmpdir(), 'dr-test-'))
  })
  afterEach(async () => {
    await rm(folder.path, {recursive: true, force: true})
  })
  return folder
}
