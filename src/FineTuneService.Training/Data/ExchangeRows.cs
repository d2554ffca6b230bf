using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>Tokenizes rows in parallel, in their order; what a template says against a row becomes a fault of the row's line.</summary>
internal static class ExchangeRows
{
    /// <exception cref="FaultException">When the rows' faults are enough, or a fault is none of a row but of the job.</exception>
    public static IEnumerable<(TRow Row, TTokens Tokens)> Tokenize<TRow, TTokens>(IEnumerable<TRow> rows, Func<TRow, TTokens> tokenize, Func<TRow, long> line, RowLedger ledger)
    {
        foreach (var (row, (tokens, faults)) in rows.MapInParallel(Attempt))
        {
            foreach (var fault in faults)
                if (fault.Pointer is ExchangeTokenizer.TemplatePointer or ExchangeTokenizer.ModelPointer)
                    throw new FaultException(faults);
                else
                    ledger.Fault(line(row), fault.Value, $"{fault.Pointer}: {fault.Message}", fault.Remedy);
            if (faults.Count == 0)
                yield return (row, tokens!);
        }

        (TTokens? Tokens, IReadOnlyList<Fault> Faults) Attempt(TRow row)
        {
            try
            {
                return (tokenize(row), []);
            }
            catch (FaultException error)
            {
                return (default, error.Faults);
            }
        }
    }
}
