using System.Text;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.Tests.Data;

public sealed class DataFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("data-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Csv_follows_RFC_4180()
    {
        var rows = Read("a.csv", "text,label\r\n\"said \"\"no\"\", and\r\nleft\",neg\r\nplain,\r\n\r\n\"\",pos");

        Assert.Equal([("said \"no\", and\r\nleft", "neg"), ("plain", ""), ("", "pos")], rows.Select(row => ((string)row["text"]!, (string)row["label"]!)));
        Assert.Equal([2, 4, 6], rows.Select(row => row.Line));
    }

    [Fact]
    public void In_tsv_quotes_are_text() =>
        Assert.Equal(["\"a\" quote", "it's \"open"], Read("a.tsv", "text\tlabel\n\"a\" quote\t1\nit's \"open\t0\n").Select(row => row["text"]));

    [Theory]
    [InlineData("text;label\na,b;1\n")]
    [InlineData("text\tlabel\na,b\t1\n")]
    public void The_delimiter_of_csv_is_found_in_the_header(string content) => Assert.Equal("a,b", Read("a.csv", content).Single()["text"]);

    [Fact]
    public void A_byte_order_mark_is_no_part_of_the_first_column() => Assert.Equal("x", Read("a.csv", "\uFEFFtext,label\nx,1\n").Single()["text"]);

    [Fact]
    public void Jsonl_keeps_types_and_lets_rows_differ()
    {
        var rows = Read("a.jsonl", """{"text":"é\n","label":1}""" + "\n\n" + """{"label":[1,"b"],"score":0.5,"ok":true,"none":null}""");

        Assert.Equal(("é\n", 1L), (rows[0]["text"], rows[0]["label"]));
        Assert.Equal((null, 0.5, true), (rows[1]["text"], rows[1]["score"], rows[1]["ok"]));
        Assert.Equal(JsonValueKind.Array, Assert.IsType<JsonElement>(rows[1]["label"]).ValueKind);
        Assert.Equal(3, rows[1].Line);
    }

    [Theory]
    [InlineData("a.csv", "", "a.csv:1", "empty")]
    [InlineData("a.jsonl", "", "a.jsonl:1", "empty")]
    [InlineData("a.csv", "text,label\na,1\nb\nc,1,2\n", "a.csv:3|a.csv:4", "columns")]
    [InlineData("a.csv", "text,text\na,b\n", "a.csv:1", "Two columns")]
    [InlineData("a.csv", "text,\na,b\n", "a.csv:1", "no name")]
    [InlineData("a.csv", "text,label\n\"a,1\nb,2\n", "a.csv:2|a.csv:2", "never closed")]
    [InlineData("a.csv", "text,label\n\"a\"b,1\n", "a.csv:2", "follows a closing quote")]
    [InlineData("a.csv", "text,label\na\0b,1\n", "a.csv:2", "NUL")]
    [InlineData("a.jsonl", "{\"a\":1}\n[1]\n{\"a\":\n{\"a\":1} x\n", "a.jsonl:2|a.jsonl:3|a.jsonl:4", "JSON object")]
    [InlineData("a.jsonl", "{\"a\":\"\\ud800\"}\n", "a.jsonl:1", "JSON object")]
    [InlineData("a.jsonl", "{\"a\":1,\"a\":2}\n", "a.jsonl:1", "twice")]
    public void Faults_name_every_line(string name, string content, string pointers, string message)
    {
        var fault = Assert.Throws<FaultException>(() => Read(name, content));

        Assert.Equal(pointers.Split('|'), fault.Faults.Select(one => one.Pointer));
        Assert.Contains(message, fault.Faults[0].Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a.csv")]
    [InlineData("a.tsv")]
    [InlineData("a.jsonl")]
    public void Invalid_UTF_8_is_told_with_its_line(string name)
    {
        var delimiter = name == "a.tsv" ? "\t" : ",";
        byte[] header = name == "a.jsonl" ? [] : Encoding.ASCII.GetBytes($"text{delimiter}label\n");
        byte[] row = name == "a.jsonl" ? [.. "{\"text\":\""u8, 0xE9, .. "\"}\n"u8] : [.. "caf"u8, 0xE9, .. Encoding.ASCII.GetBytes(delimiter + "1\n")];
        File.WriteAllBytes(Path.Combine(_folder, name), [.. header, .. row]);

        var fault = Assert.Throws<FaultException>(() => DataFile.Open(Path.Combine(_folder, name)).Rows().ToList()).Faults.Single();
        Assert.Equal((name == "a.jsonl" ? "a.jsonl:1" : name + ":2", true), (fault.Pointer, fault.Message.Contains("UTF-8", StringComparison.Ordinal)));
    }

    [Fact]
    public void Twenty_faults_are_enough()
    {
        var fault = Assert.Throws<FaultException>(() => Read("a.csv", "text,label\n" + string.Concat(Enumerable.Repeat("x\n", 100))));

        Assert.Equal(DataFile.MaxFaults, fault.Faults.Count);
    }

    [Theory]
    [InlineData("a.csv", "text,label\n\"", "\",1\nnext,2\n")]
    [InlineData("a.jsonl", "{\"text\":\"", "\"}\n{\"text\":\"next\"}\n")]
    public void An_endless_row_is_refused_and_not_kept(string name, string before, string after)
    {
        var fault = Assert.Throws<FaultException>(() => Read(name, before + new string('x', 3 * DataFile.MaxRowBytes) + after));

        Assert.Contains("longer than", Assert.Single(fault.Faults).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_extension_is_refused() => Assert.Contains(".csv", Assert.Throws<FaultException>(() => Read("a.xlsx", "x")).Faults[0].Remedy, StringComparison.Ordinal);

    private List<DataRow> Read(string name, string content)
    {
        File.WriteAllText(Path.Combine(_folder, name), content, new UTF8Encoding(false));
        return [.. DataFile.Open(Path.Combine(_folder, name)).Rows()];
    }
}
