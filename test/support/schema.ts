import {execFileSync} from 'node:child_process'
import {clientTools} from './tools.ts'

/** The schema as pg_dump writes it, without the words that are new at every dump, and without the schemas of partial restores. */
export async function schemaOf(url: string, major: number): Promise<string> {
  const bin = await clientTools(major === 18 ? 18 : 17)
  const text = execFileSync(`${bin}/pg_dump`, ['--schema-only', '--exclude-schema=dr_undo_*', '--exclude-schema=dr_stage_*', url], {encoding: 'utf8', maxBuffer: 64 * 1024 * 1024})
  return text.replaceAll(/^\\(un)?restrict .*$/gm, '')
}

/** The lines around the first that differs, of both; undefined when the texts are equal. */
export function firstDifference(one: string, other: string): string | undefined {
  const [lines, otherLines] = [one.split('\n'), other.split('\n')]
  const index = lines.findIndex((line, at) => line !== otherLines[at])
  return one === other ? undefined : [lines, otherLines].map((text) => text.slice(Math.max(0, index - 8), index + 3).join('\n')).join('\n<<< >>>\n')
}
