// Starts `dr` with the trial command instead of those that are shipped: for tests that need a whole process.
import {main} from '../../../src/lib/cli/main.ts'

void main(new URL('../..', import.meta.url).href, {source: true, commands: './test/support/trial/commands'})
