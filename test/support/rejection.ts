import {DrError} from '../../src/lib/errors.ts'

/** The DrError that this promise is rejected with; anything else fails the test. */
export async function drErrorOf(promise: Promise<unknown>): Promise<DrError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof DrError) return error
    throw error
  }
  throw new Error('Expected a DrError, but nothing was thrown')
}
