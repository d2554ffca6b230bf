using FineTuneService.Contracts;

namespace FineTuneService.Training.DataQuality;

/// <summary>What is the matter with rows by themselves.</summary>
internal static class RowFindings
{
    /// <summary>Another language in so large a share of the rows is there on purpose.</summary>
    private const double OddShare = 0.2;

    public static IEnumerable<FindingDraft> Of(DataAnalysis data, DataReportOptions options) => data.Scan.Files.SelectMany(file => Of(file, data, options));

    private static IEnumerable<FindingDraft> Of(ScannedFile file, DataAnalysis data, DataReportOptions options)
    {
        var scan = data.Scan;
        int[] all = [.. Enumerable.Range(file.Start, file.End - file.Start)];
        int[] usable = [.. data.Usable(file.Split)];
        var name = Path.GetFileName(file.Path);
        if (file.Encoding.Name != FileEncoding.Usual)
            yield return new(
                DataIssue.Encoding, FindingSeverity.High, file.Split, all.Length, [],
                $"{name} reads as {file.Encoding.Name}, and a job reads UTF-8 only.", "Clean it, which writes UTF-8, or save it as UTF-8. Look at some excerpts with accents first: an encoding is a guess.", new { Encoding = file.Encoding.Name });

        if (Rows(row => scan.Rows[row].Unusable == DataIssue.Unreadable, all, row => scan.Faults.GetValueOrDefault(row)?.Message) is ({ } unreadable, > 0 and var broken))
            yield return new(
                DataIssue.Unreadable, FindingSeverity.High, file.Split, broken, unreadable,
                $"{Share(broken, all)} of {name} cannot be read, and a job refuses the whole file for it.", "Mend them in the file; cleaning leaves them out.", new { });
        if (Rows(row => scan.Rows[row].Unusable == DataIssue.NoText, all) is ({ } silent, > 0 and var empty))
            yield return new(DataIssue.NoText, FindingSeverity.Warning, file.Split, empty, silent, $"{Share(empty, all)} have no text, or no answer.", "Fill them in, or leave them out, as a job does.", new { });
        if (Rows(row => scan.Rows[row].Unusable == DataIssue.NoLabel, all) is ({ } unnamed, > 0 and var unlabelled))
            yield return new(DataIssue.NoLabel, FindingSeverity.Warning, file.Split, unlabelled, unnamed, $"{Share(unlabelled, all)} have a text and no label.", "Label them, or leave them out, as a job does.", new { });

        if (Rows(row => scan.Rows[row].Characters < options.MinCharacters, usable) is ({ } shortRows, > 0 and var tooShort))
            yield return new(
                DataIssue.TooShort, FindingSeverity.Info, file.Split, tooShort, shortRows, $"{Share(tooShort, usable)} have fewer than {options.MinCharacters} characters.", "Drop what says nothing.", new { options.MinCharacters });
        if (Rows(row => scan.Rows[row].Characters > data.TooLong, usable, row => $"{scan.Rows[row].Characters} characters") is ({ } longRows, > 0 and var tooLong))
            yield return new(
                DataIssue.TooLong, FindingSeverity.Info, file.Split, tooLong, longRows,
                $"{Share(tooLong, usable)} have more than {data.TooLong} characters, far more than most.", "Look whether several rows have run together; drop them, or raise max_length.", new { MaxCharacters = data.TooLong }, IsRecommended: false);
        if (Rows(row => scan.Rows[row].Kind != TextKind.Text, usable, row => scan.Rows[row].Kind.ToString().ToLowerInvariant()) is ({ } noise, > 0 and var nonText))
            yield return new(
                DataIssue.NonText, FindingSeverity.Warning, file.Split, nonText, noise, $"{Share(nonText, usable)} are no sentences: {Kinds(usable, row => scan.Rows[row].Kind, TextKind.Text)}.",
                "Drop them, unless the model is to meet such texts.", new { NonText = true }, IsRecommended: nonText * 20 < usable.Length);

        var usual = data.UsualLanguage(data.Usable);
        if (usual != TextLanguage.Unknown && Rows(row => IsOdd(scan.Rows[row].Language, usual), usable, row => TextLanguage.Name(scan.Rows[row].Language)) is ({ } foreign, > 0 and var odd) && odd < OddShare * usable.Length)
            yield return new(
                DataIssue.OddLanguage, FindingSeverity.Info, file.Split, odd, foreign, $"{Share(odd, usable)} do not look like {TextLanguage.Name(usual)}, which most rows are in.",
                "Drop them, unless the model is to meet such texts.", new { OddLanguage = true }, IsRecommended: odd * 20 < usable.Length);

        if (Rows(row => scan.Rows[row].Personal != 0, usable, row => PersonalData.Names(scan.Rows[row].Personal)) is ({ } persons, > 0 and var personal))
            yield return new(
                DataIssue.PersonalData, usable.Any(row => scan.Rows[row].Personal.HasFlag(PersonalKinds.Secret)) ? FindingSeverity.High : FindingSeverity.Warning, file.Split, personal, persons,
                $"{Share(personal, usable)} have what looks like personal data or secrets: {Kinds(usable, row => PersonalData.Names(scan.Rows[row].Personal), "")}.",
                "Mask them: a model may say again what it has read.", new { PersonalData = PersonalDataAction.Mask });

        (List<DraftRow> Shown, long Count) Rows(Func<int, bool> has, int[] among, Func<int, string?>? detail = null)
        {
            var (shown, count) = (new List<DraftRow>(), 0L);
            foreach (var row in among.Where(has))
                if (count++ < options.ShownRows)
                    shown.Add(new(row, detail?.Invoke(row)));
            return (shown, count);
        }
    }

    public static bool IsOdd(byte language, byte usual) => usual != TextLanguage.Unknown && language != TextLanguage.Unknown && language != usual;

    public static string Share(long count, IReadOnlyCollection<int> among) => FormattableString.Invariant($"{count:N0} of {among.Count:N0} rows");

    private static string Kinds<T>(int[] rows, Func<int, T> kind, T none) where T : notnull =>
        string.Join(", ", rows.Select(kind).Where(found => !found.Equals(none)).CountBy(found => found).OrderByDescending(entry => entry.Value).Take(8).Select(entry => $"{entry.Key.ToString()!.ToLowerInvariant()} {entry.Value}"));
}
