using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.DataQuality;

/// <summary>All rows of a file in the order of their lines, those that cannot be read with what is wrong with them.</summary>
internal static class TolerantRows
{
    /// <exception cref="FaultException">When there is no header, or nothing at all.</exception>
    public static IEnumerable<(long Line, DataRow? Row, Fault? Fault)> Read(string path)
    {
        var faulty = new Queue<(long Line, DataRow? Row, Fault? Fault)>();
        var last = 0L;
        foreach (var row in DataFile.Open(path).Rows(Unreadable))
        {
            while (faulty.TryDequeue(out var before))
                yield return before;
            yield return (row.Line, row, null);
        }
        while (faulty.TryDequeue(out var rest))
            yield return rest;

        void Unreadable(long line, Fault fault)
        {
            if (line != last)
                faulty.Enqueue((line, null, fault));
            last = line;
        }
    }
}
