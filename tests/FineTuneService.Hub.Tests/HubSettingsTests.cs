using FineTuneService.Contracts;
using Microsoft.Extensions.Configuration;

namespace FineTuneService.Hub.Tests;

public sealed class HubSettingsTests : IDisposable
{
    private readonly string _home = Directory.CreateTempSubdirectory("finetune-hub-").FullName;

    public void Dispose() => Directory.Delete(_home, recursive: true);

    [Fact]
    public void Without_settings_it_is_the_public_hub_and_a_cache_in_the_data_directory()
    {
        var settings = Read();

        Assert.Equal("https://huggingface.co/", settings.Endpoint.ToString());
        Assert.Equal("/data/hub", settings.CacheDirectory);
        Assert.Equal((null, false, 50L << 30), (settings.Token, settings.Offline, settings.MaxBytes));
        Assert.Equal(["*.huggingface.co", "*.hf.co"], settings.AllowedHosts);
    }

    [Fact]
    public void The_variables_of_the_python_library_are_respected()
    {
        File.WriteAllText(Path.Combine(_home, "token"), "hf_home\n");
        var settings = Read(("HF_ENDPOINT", "https://mirror.example.org/hf"), ("HF_HOME", _home), ("HF_HUB_OFFLINE", "1"));

        Assert.Equal("https://mirror.example.org/hf/", settings.Endpoint.ToString());
        Assert.Equal(Path.Combine(_home, "hub"), settings.CacheDirectory);
        Assert.Equal(("hf_home", true), (settings.Token, settings.Offline));
        Assert.Equal(("hf_token", "/elsewhere"), (Read(("HF_HOME", _home), ("HF_TOKEN", "hf_token")).Token, Read(("HF_HOME", _home), ("HF_HUB_CACHE", "/elsewhere")).CacheDirectory));
    }

    [Fact]
    public void The_section_comes_before_the_variables()
    {
        var settings = Read(
            ("Hub:Endpoint", "http://127.0.0.1:8080"), ("HF_ENDPOINT", "https://mirror.example.org"), ("Hub:Token", "hf_a"), ("HF_TOKEN", "hf_b"), ("Hub:CacheDirectory", "cache"),
            ("Hub:Offline", "false"), ("HF_HUB_OFFLINE", "1"), ("Hub:AllowedHosts:0", "cdn.example.org"), ("Hub:MaxBytes", "7"));

        Assert.Equal("http://127.0.0.1:8080/", settings.Endpoint.ToString());
        Assert.Equal(("hf_a", "/root-folder/cache", false, 7), (settings.Token, settings.CacheDirectory, settings.Offline, settings.MaxBytes));
        Assert.Equal(["cdn.example.org"], settings.AllowedHosts);
    }

    [Theory]
    [InlineData("Hub:Endpoint", "huggingface.co")]
    [InlineData("Hub:Endpoint", "ftp://huggingface.co")]
    [InlineData("Hub:Token", "hf_a\nX-Header: b")]
    public void What_cannot_be_is_a_fault_that_does_not_show_a_token(string key, string value)
    {
        var fault = Assert.Single(Assert.Throws<FaultException>(() => Read((key, value))).Faults);

        Assert.Equal(key, fault.Pointer);
        Assert.DoesNotContain("hf_a", fault.ToString(), StringComparison.Ordinal);
    }

    private static HubSettings Read(params (string Key, string Value)[] values) => HubSettings.From(
        new ConfigurationBuilder().AddInMemoryCollection(values.Select(value => KeyValuePair.Create(value.Key, (string?)value.Value))).Build(), "/root-folder", "/data");
}
