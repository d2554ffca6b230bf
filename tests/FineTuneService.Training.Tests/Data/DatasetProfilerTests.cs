using FineTuneService.Training.Data;

namespace FineTuneService.Training.Tests.Data;

public sealed class DatasetProfilerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("data-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void It_tells_kinds_counts_and_lengths()
    {
        var profile = Profile("a.csv", "text,label,score\ngood,1,0.5\nbad,0,1\n,1,2\n");

        Assert.Equal(("csv", 3L), (profile.Format, profile.Rows));
        Assert.Equal([ColumnKind.String, ColumnKind.Integer, ColumnKind.Number], profile.Columns.Select(column => column.Kind));
        Assert.Equal((1L, 2, 3, 4), (profile.Columns[0].Empty, profile.Columns[0].Distinct, profile.Columns[0].MinLength, profile.Columns[0].MaxLength));
        Assert.Equal([KeyValuePair.Create("1", 2L), KeyValuePair.Create("0", 1L)], profile.Columns[1].Counts);
        Assert.Equal("good", profile.FirstRows[0]["text"]);
    }

    [Fact]
    public void A_column_that_comes_late_was_empty_before()
    {
        var profile = Profile("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\",\"label\":[\"x\"]}\n{\"text\":\"c\",\"label\":\"x\"}\n");

        Assert.Equal((1L, ColumnKind.Mixed), (profile.Columns[1].Empty, profile.Columns[1].Kind));
    }

    [Fact]
    public void Many_values_are_counted_to_a_limit()
    {
        var profile = Profile("a.csv", "id\n" + string.Concat(Enumerable.Range(0, 1500).Select(id => $"{id}\n")));

        Assert.Equal((1000, true, null), (profile.Columns[0].Distinct, profile.Columns[0].DistinctIsMore, profile.Columns[0].Counts));
    }

    [Fact]
    public void The_values_of_all_columns_together_are_counted_to_a_limit()
    {
        const int Texts = 30, Length = 200, Room = 4_000_000;
        var names = Enumerable.Range(0, Texts).Select(column => $"c{column}");
        var rows = Enumerable.Range(0, 1000).Select(row => $"{row % 2},{string.Join(',', Enumerable.Range(0, Texts).Select(column => $"{row}-{column}-".PadRight(Length, 'x')))}\n");

        var profile = Profile("a.csv", $"label,{string.Join(',', names)}\n{string.Concat(rows)}");

        Assert.Equal([KeyValuePair.Create("0", 500L), KeyValuePair.Create("1", 500L)], profile.Columns[0].Counts);
        Assert.All(profile.Columns.Skip(1), column => Assert.Equal((true, null), (column.DistinctIsMore, column.Counts)));
        Assert.Equal((Room - 2) / Length, profile.Columns.Skip(1).Sum(column => column.Distinct));
    }

    private DatasetProfile Profile(string name, string content)
    {
        File.WriteAllText(Path.Combine(_folder, name), content);
        return DatasetProfiler.Profile(Path.Combine(_folder, name));
    }
}
