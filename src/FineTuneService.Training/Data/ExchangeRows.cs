using FineTuneService.Contracts;

namespace FineTuneService.Training.Data;

/// <summary>Tokenizes rows in parallel, in their order; what a template says against a row becomes a fault of the row's line.</summary>
internal static class ExchangeRows
{
    /// <exception cref="FaultException">When the rows' faults are enough, or a fault is none of a row but of the job.</exception>
    public static IEnumerable<(TRow Row, TTokens Tokens)> Tokenize<TRow, TTokens>(IEnumerable<TRow> rows, Func<TRow, TTokens> tokenize, Func<TRow, long> line, RowLedger ledger)
    {
        // Read to the end first: readers write to the ledger as this loop does, and a fault of the file must not come out of a parallel query.
        foreach (var (row, tokens, faults) in rows.ToList().AsParallel().AsOrdered().Select(Attempt))
        {
            foreach (var fault in faults)
                if (fault.Pointer is ExchangeTokenizer.TemplatePointer or ExchangeTokenizer.ModelPointer)
                    throw new FaultException(faults);
                else
                    ledger.Fault(line(row), fault.Value, $"{fault.Pointer}: {fault.Message}", fault.Remedy);
            if (faults.Count == 0)
                yield return (row, tokens!);
        }

        (TRow Row, TTokens? Tokens, IReadOnlyList<Fault> Faults) Attempt(TRow row)
        {
            try
            {
                return (row, tokenize(row), []);
            }
            catch (FaultException error)
            {
                return (row, default, error.Faults);
            }
        }
    }
}
