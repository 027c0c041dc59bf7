export const quoteIdent = (name: string): string => `"${name.replaceAll('"', '""')}"`
export const quoteLiteral = (text: string): string => (text.includes('\\') ? ` E'${text.replaceAll('\\', String.raw`\\`).replaceAll("'", "''")}'` : `'${text.replaceAll("'", "''")}'`)
export const qualified = ({schema, name}: {schema: string; name: string}): string => `${quoteIdent(schema)}.${quoteIdent(name)}`
