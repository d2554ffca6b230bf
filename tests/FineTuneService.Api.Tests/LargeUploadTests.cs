using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using FineTuneService.Storage.Postgres;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

public sealed class LargeUploadTests(Api api)
{
    private const long Bytes = 1L << 30;
    private const long MostGrowth = 64L << 20;

    [Fact]
    public async Task A_gigabyte_flows_through_the_real_process_without_filling_its_memory()
    {
        var data = Directory.CreateTempSubdirectory("finetune-large-").FullName;
        using var process = ApiProcess.Start(data, api.Services.GetRequiredService<EmbeddedPostgres>().ConnectionString);
        try
        {
            using var http = new HttpClient(new SocketsHttpHandler()) { BaseAddress = new Uri(await ApiProcess.ListeningUrl(process)), Timeout = TimeSpan.FromMinutes(5) };
            http.DefaultRequestHeaders.Authorization = new("Bearer", Api.Key);
            await Api.Read(await http.PostAsync("/datasets", Form(1 << 20), Api.Cancel), HttpStatusCode.Created);
            File.WriteAllText($"/proc/{process.Id}/clear_refs", "5"); // proc(5): the peak counts anew.
            var before = Memory(process, "VmRSS");

            var made = await Api.Read(await http.PostAsync("/datasets", Form(Bytes), Api.Cancel), HttpStatusCode.Created);

            var growth = Memory(process, "VmHWM") - before;
            TestContext.Current.TestOutputHelper!.WriteLine($"grew by {growth >> 20} MB over {before >> 20} MB");
            Assert.InRange((long)made["bytes"]!, Bytes, Bytes + (1 << 20));
            Assert.True(growth < MostGrowth, $"The process grew by {growth >> 20} MB.");
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync(CancellationToken.None);
            Directory.Delete(data, recursive: true);
        }
    }

    private static long Memory(Process process, string name) =>
        long.Parse(File.ReadLines($"/proc/{process.Id}/status").First(line => line.StartsWith(name, StringComparison.Ordinal)).Split(':')[1].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) << 10;

    private static MultipartFormDataContent Form(long bytes) => new() { { new Rows(bytes), "file", "large.csv" } };

    /// <summary>Rows made while they are sent.</summary>
    private sealed class Rows(long bytes) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync("text,label\n"u8.ToArray());
            var block = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 1000).Select(i => $"\"{string.Concat(Enumerable.Repeat($"a film that, number {i * 7919 % 1000}, is neither long nor short; ", 8))}\",{i % 2}\n")));
            for (var sent = 0L; sent < bytes; sent += block.Length)
                await stream.WriteAsync(block);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
