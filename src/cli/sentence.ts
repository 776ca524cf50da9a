/** Messages of errors are parts of sentences; a person reads whole ones. */
export function asSentence(message: string): string {
  const capital = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?)]$/.test(capital) ? capital : `${capital}.`;
}
