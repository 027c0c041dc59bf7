import {sha256Of} from './checksum.ts'

/** The last property of a sealed document: SHA-256 of the document as it is without it. */
const SEAL = /,\n {2}"seal": "([\da-f]{64})"\n\}\n$/

/** Adds the seal to a JSON object that is written with two spaces of indentation and ends with a newline. */
export function sealed(text: string): string {
  if (!text.endsWith('\n}\n')) throw new Error('Only an indented JSON object with at least one property can be sealed.')
  return `${text.slice(0, -3)},\n  "seal": "${sha256Of(text)}"\n}\n`
}

/** What is left of a seal that was itself damaged: no single byte breaks both its name and its value. */
const REST = /"seal"|[\da-f]{64}"\n\}\n$/

/** `none`: it was never sealed. `broken`: the text is not the one that was sealed, down to the last byte. */
export function sealOf(text: string): 'whole' | 'broken' | 'none' {
  const found = SEAL.exec(text)
  if (found === null) return REST.test(text) ? 'broken' : 'none'
  return sha256Of(`${text.slice(0, found.index)}\n}\n`) === found[1] ? 'whole' : 'broken'
}
