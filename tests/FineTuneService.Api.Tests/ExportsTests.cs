using System.Buffers.Binary;
using System.Formats.Tar;
using System.Net;
using System.Text;
using System.Xml.Linq;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Parquet.Serialization;

namespace FineTuneService.Api.Tests;

public sealed class ExportsTests(Api api)
{
    private static readonly DateTimeOffset Start = new(2026, 1, 2, 3, 4, 5, 250, TimeSpan.Zero);

    [Fact]
    public async Task Metrics_are_a_row_for_each_line_of_the_log_and_a_column_for_each_name()
    {
        var id = await PutRun();

        var file = await Metrics(id, "csv", "text/csv");

        Assert.Equal(
            """
            step,epoch,time,"eval_f1, macro",eval_loss,loss
            10,0.5,2026-01-02T03:04:06.2500000Z,,,1.5
            20,1,2026-01-02T03:04:07.2500000Z,,,NaN
            20,1,2026-01-02T03:04:08.2500000Z,0.1,0.30000000000000004,

            """.ReplaceLineEndings("\r\n"), Encoding.UTF8.GetString(file));
    }

    [Fact]
    public async Task Parquet_has_the_same_rows_and_columns()
    {
        var id = await PutRun();

        var file = await Metrics(id, "parquet", "application/vnd.apache.parquet");

        var (schema, rows, _) = await ParquetSerializer.DeserializeUntypedAsync(new MemoryStream(file), cancellationToken: Api.Cancel);
        string[] columns = ["step", "epoch", "time", "eval_f1, macro", "eval_loss", "loss"];
        Assert.Equal(columns, schema.Fields.Select(field => field.Name));
        Assert.Equal(
            [
                [10, 0.5, Start.AddSeconds(1).UtcDateTime, null, null, 1.5],
                [20, 1.0, Start.AddSeconds(2).UtcDateTime, null, null, double.NaN],
                [20, 1.0, Start.AddSeconds(3).UtcDateTime, 0.1, 0.30000000000000004, null],
            ], rows.Select(row => columns.Select(column => row.GetValueOrDefault(column)).ToArray()));
    }

    [Fact]
    public async Task TensorBoards_file_is_the_one_that_its_own_reader_has_read()
    {
        var id = await PutRun();

        var (name, content) = await OnlyFile($"/jobs/{id}/tensorboard");

        Assert.Equal($"{id}/events.out.tfevents.1767323045.finetune", name);
        await AssertGolden("events.out.tfevents", content);
        Assert.Equal(7, Records(content).Count); // Version, specification, hyperparameters, three lines of the log, the end.
    }

    [Fact]
    public async Task An_offline_run_of_wandb_is_the_one_that_its_own_reader_has_read()
    {
        var id = await PutRun(id: "job_0123456789abcdef0123456789abcdef");
        await api.InDatabase(async db =>
        {
            // Longer than a block of the log, which is cut into pieces then.
            db.Metrics.AddRange(Enumerable.Range(0, 900).Select(number => Number(id, 4, 30, 1.5, $"a_metric_with_a_rather_long_name_{number:D4}", number)));
            return await db.SaveChangesAsync(Api.Cancel);
        });

        var (name, content) = await OnlyFile($"/jobs/{id}/wandb");

        Assert.Equal("offline-run-20260102_030405-0123456789abcdef0123456789abcdef/run-0123456789abcdef0123456789abcdef.wandb", name);
        Assert.True(content.Length > 32_768);
        await AssertGolden("run.wandb", content);
    }

    [Fact]
    public async Task A_report_needs_nothing_else_and_shows_texts_as_texts()
    {
        var id = await PutRun("<script>alert(1)</script>");
        await api.InDatabase(async db =>
        {
            db.Events.Add(new() { JobId = id, Seq = 9, Type = "diagnosis", Time = Start, Data = """{"type": "diagnosis", "finding": {"code": "overfitting", "severity": "high", "from_step": 10, "to_step": 20, "explanation": "It rose & rose.", "remedy": "Stop <earlier>."}}""" });
            db.Metrics.AddRange(Number(id, 4, 30, 1.5, "loss", 1.2), Number(id, 5, 40, 2, "loss", 1.1));
            db.Checkpoints.Add(new() { JobId = id, Step = 20, Epoch = 1, Path = "checkpoints/checkpoint-20", Bytes = 1_500_000, Best = true, Final = true, Metrics = """{"eval_loss": 0.3}""", CreatedAt = Start });
            return await db.SaveChangesAsync(Api.Cancel);
        });

        using var response = await api.Http.GetAsync($"/jobs/{id}/report.html", Api.Cancel);
        var page = await response.Content.ReadAsStringAsync(Api.Cancel);

        Assert.Equal("text/html", response.Content.Headers.ContentType!.MediaType);
        Assert.Contains("&lt;script&gt;alert(1)&lt;/script&gt;", page, StringComparison.Ordinal);
        foreach (var foreign in new[] { "<script", "http:", "https:", "src=", "url(", "@import", "<link" })
            Assert.DoesNotContain(foreign, page, StringComparison.OrdinalIgnoreCase);
        foreach (var part in new[] { "<h2>Findings</h2>", "Stop &lt;earlier&gt;.", "It rose &amp; rose.", "<svg", "class=\"curve0\"", "<td>0.3</td>", "1.5 MB", "best final", "tiny-bert-en" })
            Assert.Contains(part, page, StringComparison.Ordinal);
        Assert.NotEmpty(XElement.Parse(page[page.IndexOf("<svg", StringComparison.Ordinal)..(page.IndexOf("</svg>", StringComparison.Ordinal) + "</svg>".Length)]).Descendants("path"));
    }

    [Fact]
    public async Task A_job_reports_only_to_what_is_there()
    {
        var dataset = (string)(await api.Upload("rows.csv", "text,label\ngood,1\nbad,0\n"))["id"]!;
        string Job(string reportTo) => $$$"""{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{{dataset}}}"}, "training": {"report_to": {{{reportTo}}}}}""";

        await api.Post("/jobs", Job("\"none\""), HttpStatusCode.Created);
        Assert.Equal(["/training/report_to"], Api.Pointers(await api.Post("/jobs", Job("[\"mlflow\"]"), HttpStatusCode.UnprocessableEntity)));
        Assert.Equal(["/training/report_to"], Api.Pointers(await api.Post("/jobs", Job("\"comet_ml\""), HttpStatusCode.UnprocessableEntity)));
    }

    /// <summary>What the records hold, their lengths and checksums proved by an implementation of the checksum that is not ours: CRC-32C bit by bit.</summary>
    private static List<byte[]> Records(byte[] file)
    {
        var records = new List<byte[]>();
        for (var at = 0; at < file.Length;)
        {
            var length = (int)BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(at));
            Assert.Equal(Masked(file.AsSpan(at, 8)), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 8)));
            Assert.Equal(Masked(file.AsSpan(at + 12, length)), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 12 + length)));
            records.Add(file[(at + 12)..(at + 12 + length)]);
            at += 16 + length;
        }
        return records;
    }

    private static uint Masked(ReadOnlySpan<byte> data)
    {
        var crc = Crc32C(data);
        return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
    }

    private static uint Crc32C(ReadOnlySpan<byte> data)
    {
        var crc = uint.MaxValue;
        foreach (var value in data)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc & 1) == 0 ? crc >> 1 : (crc >> 1) ^ 0x82f63b78;
        }
        return ~crc;
    }

    [Fact]
    public void The_tests_checksum_is_that_of_the_standard() => Assert.Equal(0xe3069283, Crc32C("123456789"u8)); // RFC 3720, B.4; the usual check value.

    /// <summary>A job's numbers as a file, under its name and as what it is; there is none of a job that is not there.</summary>
    private async Task<byte[]> Metrics(string id, string extension, string mediaType)
    {
        await Api.Read(await api.Http.GetAsync($"/jobs/job_0/metrics.{extension}", Api.Cancel), HttpStatusCode.NotFound);
        using var response = await api.Http.GetAsync($"/jobs/{id}/metrics.{extension}", Api.Cancel);
        Assert.Equal(mediaType, response.Content.Headers.ContentType!.MediaType);
        Assert.Equal($"{id}-metrics.{extension}", response.Content.Headers.ContentDisposition!.FileName);
        return await response.Content.ReadAsByteArrayAsync(Api.Cancel);
    }

    private async Task<(string Name, byte[] Content)> OnlyFile(string address)
    {
        await using var archive = await api.Http.GetStreamAsync(address, Api.Cancel);
        await using var tar = new TarReader(archive);
        var file = (await tar.GetNextEntryAsync(copyData: true, Api.Cancel))!;
        var content = new byte[file.Length];
        await file.DataStream!.ReadExactlyAsync(content, Api.Cancel);
        Assert.Null(await tar.GetNextEntryAsync(cancellationToken: Api.Cancel));
        return (file.Name, content);
    }

    private static async Task AssertGolden(string name, byte[] content)
    {
        var (golden, fresh) = (Path.Combine(Api.Output, "Fixtures", "exports", $"{name}.golden"), Path.Combine(Api.Output, name));
        await File.WriteAllBytesAsync(fresh, content, Api.Cancel);
        Assert.True(File.Exists(golden) && (await File.ReadAllBytesAsync(golden, Api.Cancel)).AsSpan().SequenceEqual(content), $"{fresh} differs from the golden file. Let its own reader judge it, see Fixtures/exports/README.md.");
    }

    private async Task<string> PutRun(string? name = null, string? id = null)
    {
        id ??= Ids.NewJob();
        await api.InDatabase(async db =>
        {
            db.Jobs.Add(new()
            {
                Id = id,
                Name = name,
                Status = JobStatus.Succeeded,
                CreatedAt = Start,
                StartedAt = Start,
                FinishedAt = Start.AddMinutes(1),
                Resolutions = "[]",
                Attempt = 1,
                Step = 20,
                TotalSteps = 20,
                LogSeq = 5,
                Spec = """{"base_model": "tiny-bert-en", "task": {"type": "text-classification"}, "dataset": {"train": "ds_0"}, "training": {"learning_rate": 0.0003, "eval_on_start": true}}""",
            });
            db.Metrics.AddRange(
                Number(id, 1, 10, 0.5, "loss", 1.5),
                Number(id, 2, 20, 1, "loss", double.NaN),
                Number(id, 3, 20, 1, "eval_loss", 0.1 + 0.2),
                Number(id, 3, 20, 1, "eval_f1, macro", 0.1));
            return await db.SaveChangesAsync(Api.Cancel);
        });
        return id;
    }

    private static Metric Number(string job, long seq, int step, double epoch, string name, double value) =>
        new() { JobId = job, Seq = seq, Step = step, Epoch = epoch, Name = name, Value = value, Time = Start.AddSeconds(seq) };
}
